"""Bytes and pairs: what the tokeniser makes of words it knows, of others, and of cuts."""

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


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_special_tokens_have_the_numbers_that_roberta_takes_for_granted():
    config = RobertaConfig()
    assert [SPECIAL[n] for n in (config.bos_token_id, config.pad_token_id, config.eos_token_id)] == [
        "<s>",
        "<pad>",
        "</s>",
    ]
    assert [TOKENISER.token_to_id(token) for token in SPECIAL] == list(range(5))


def test_words_of_the_sentences_become_one_token_each():
    assert TOKENISER.encode(TEXTS[0]).tokens == ["<s>", "Ġthe", "Ġtrumpet", "Ġon", "Ġthe", "Ġleft", "</s>"]


def test_no_more_tokens_than_wanted_and_all_bytes_among_them():
    assert TOKENISER.get_vocab_size() < 400
    assert train_tokeniser(TEXTS, 280).get_vocab_size() == 280
    assert train_tokeniser(["a"], 300).get_vocab_size() >= 256 + len(SPECIAL)


def test_the_same_sentences_give_the_same_tokeniser():
    assert train_tokeniser(TEXTS, 300).to_str() == train_tokeniser(TEXTS, 300).to_str()


def test_case_and_space_around_do_not_matter():
    assert TOKENISER.encode("  The OWL ").ids == TOKENISER.encode("the owl").ids


@given(st.text(max_size=30))
def test_any_text_can_be_spelled_without_an_unknown_token(text: str):
    found = TOKENISER.encode(text)
    assert SPECIAL.index("<unk>") not in found.ids
    assert TOKENISER.decode(found.ids).strip() == TOKENISER.normalizer.normalize_str(text).strip()


def test_without_cuts_tokens_are_those_of_the_tokeniser():
    assert encode_sentence(TOKENISER, TEXTS[1], 0.0, chance()) == TOKENISER.encode(TEXTS[1]).ids


def test_cuts_change_the_tokens_and_never_the_text():
    plain = TOKENISER.encode(TEXTS[0]).ids
    cuts = [encode_sentence(TOKENISER, TEXTS[0], 0.99, chance(seed)) for seed in range(8)]
    assert all(len(cut) > len(plain) and TOKENISER.decode(cut).strip() == TEXTS[0] for cut in cuts)
    assert len({tuple(cut) for cut in cuts}) > 1
    assert cuts[3] == encode_sentence(TOKENISER, TEXTS[0], 0.99, chance(3))


def test_a_long_sentence_keeps_both_ends():
    numbers = encode_sentence(TOKENISER, "the owl " * 40, 0.5, chance())
    assert len(numbers) == 25
    assert (numbers[0], numbers[-1]) == (SPECIAL.index("<s>"), SPECIAL.index("</s>"))


def test_wrapped_for_transformers_it_pads_and_cuts_off():
    wrapped = wrap_tokeniser(TOKENISER)
    short, long = (
        wrapped(text, padding="max_length", truncation=True, max_length=25)["input_ids"]
        for text in (TEXTS[0], "owl " * 60)
    )
    assert short == [*TOKENISER.encode(TEXTS[0]).ids, *[SPECIAL.index("<pad>")] * 18]
    assert len(long) == 25
    assert long[-1] == SPECIAL.index("</s>")


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(TOKENISER.to_str())
    assert isinstance(load_tokeniser(path), Tokenizer)
    path.write_text(path.read_text()[:100])
    with pytest.raises(ConfigError, match=r"tokenizer\.json"):
        load_tokeniser(path)
