"""Text features as in the released Ref-AVS model (25 positions, padding included)."""

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from auralsam2.errors import UnavailableError
from auralsam2.modeling.text_encoder import MAX_TOKENS, TextEncoder
from helpers.small_text import save_small_text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    return save_small_text(tmp_path_factory.mktemp("text"))


@pytest.mark.parametrize("text", ["the dog", "", "unheard words", "the dog on the left " * 20])
def test_features_equal_the_model_on_25_padded_tokens(folder, text: str) -> None:
    features = TextEncoder(folder)(text)
    ids = AutoTokenizer.from_pretrained(folder)(text, truncation=True, max_length=MAX_TOKENS)["input_ids"]
    assert ids[0] == 0
    assert ids[-1] == 2
    padded = torch.tensor([ids + [1] * (MAX_TOKENS - len(ids))])
    mask = (torch.arange(MAX_TOKENS) < len(ids)).long()[None]
    with torch.no_grad():
        expected = AutoModel.from_pretrained(folder).eval()(input_ids=padded, attention_mask=mask).last_hidden_state[0]
    assert features.shape == (MAX_TOKENS, 32)
    torch.testing.assert_close(features, expected)


def test_frozen(folder) -> None:
    encoder = TextEncoder(folder)
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_missing_text_encoder_is_an_error(tmp_path) -> None:
    with pytest.raises(UnavailableError, match="no text encoder"):
        TextEncoder(tmp_path)
