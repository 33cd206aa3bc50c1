"""Byte-pair encoding of known words, unknown words and split tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import RobertaConfig

from auralsam2.errors import ConfigError
from projects.mini.text_tokeniser import SPECIAL, encode_sentence, load_tokeniser, train_tokeniser, wrap_tokeniser

TEXTS = ["the trumpet on the left", "the owl that can be heard", "the thing at the top"]
TOKENISER = train_tokeniser(TEXTS, 400)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_special_tokens_have_the_ids_of_roberta():
    config = RobertaConfig()
    assert [SPECIAL[n] for n in (config.bos_token_id, config.pad_token_id, config.eos_token_id)] == [
        "<s>",
        "<pad>",
        "</s>",
    ]
    assert [TOKENISER.token_to_id(token) for token in SPECIAL] == list(range(5))


def test_training_words_are_single_tokens():
    assert TOKENISER.encode(TEXTS[0]).tokens == ["<s>", "Ġthe", "Ġtrumpet", "Ġon", "Ġthe", "Ġleft", "</s>"]


def test_vocabulary_size_includes_all_bytes():
    assert TOKENISER.get_vocab_size() < 400
    assert train_tokeniser(TEXTS, 280).get_vocab_size() == 280
    assert train_tokeniser(["a"], 300).get_vocab_size() >= 256 + len(SPECIAL)


def test_equal_sentences_give_equal_tokenisers():
    assert train_tokeniser(TEXTS, 300).to_str() == train_tokeniser(TEXTS, 300).to_str()


def test_case_and_outer_spaces_are_normalised():
    assert TOKENISER.encode("  The OWL ").ids == TOKENISER.encode("the owl").ids


@given(st.text(max_size=30))
def test_any_text_is_encoded_without_unknown_tokens(text: str):
    encoding = TOKENISER.encode(text)
    assert SPECIAL.index("<unk>") not in encoding.ids
    assert TOKENISER.decode(encoding.ids).strip() == TOKENISER.normalizer.normalize_str(text).strip()


def test_encoding_without_splits_equals_the_tokeniser():
    assert encode_sentence(TOKENISER, TEXTS[1], 0.0, generator()) == TOKENISER.encode(TEXTS[1]).ids


def test_splits_change_tokens_but_not_the_text():
    plain = TOKENISER.encode(TEXTS[0]).ids
    encoded = [encode_sentence(TOKENISER, TEXTS[0], 0.99, generator(seed)) for seed in range(8)]
    assert all(len(ids) > len(plain) and TOKENISER.decode(ids).strip() == TEXTS[0] for ids in encoded)
    assert len({tuple(ids) for ids in encoded}) > 1
    assert encoded[3] == encode_sentence(TOKENISER, TEXTS[0], 0.99, generator(3))


def test_long_sentence_has_first_and_last_token():
    numbers = encode_sentence(TOKENISER, "the owl " * 40, 0.5, generator())
    assert len(numbers) == 25
    assert (numbers[0], numbers[-1]) == (SPECIAL.index("<s>"), SPECIAL.index("</s>"))


def test_wrapped_tokeniser_pads_and_truncates():
    wrapped = wrap_tokeniser(TOKENISER)
    short, long = (
        wrapped(text, padding="max_length", truncation=True, max_length=25)["input_ids"]
        for text in (TEXTS[0], "owl " * 60)
    )
    assert short == [*TOKENISER.encode(TEXTS[0]).ids, *[SPECIAL.index("<pad>")] * 18]
    assert len(long) == 25
    assert long[-1] == SPECIAL.index("</s>")


def test_damaged_file_is_named(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(TOKENISER.to_str())
    assert isinstance(load_tokeniser(path), Tokenizer)
    path.write_text(path.read_text()[:100])
    with pytest.raises(ConfigError, match=r"tokenizer\.json"):
        load_tokeniser(path)
