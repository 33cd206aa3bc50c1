"""Byte-level byte-pair encoding, trained on the training sentences.

Single bytes are tokens too, so every word can be encoded.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from auralsam2.errors import ConfigError
from auralsam2.modeling.text_encoder import MAX_TOKENS

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
"""In the order of the ids that `RobertaConfig` assumes."""
_ROLES = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}
_MIN_LETTERS = 4


def train_tokeniser(sentences: Iterable[str], vocabulary: int) -> Tokenizer:
    """Train a tokeniser of at most `vocabulary` tokens on sentences; the result depends on the arguments alone."""
    tokeniser = Tokenizer(models.BPE())
    tokeniser.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase(), normalizers.Strip()])
    tokeniser.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokeniser.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=1,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokeniser.train_from_iterator(sentences, trainer)
    begin, end = SPECIAL.index("<s>"), SPECIAL.index("</s>")
    tokeniser.post_processor = processors.RobertaProcessing(("</s>", end), ("<s>", begin), add_prefix_space=True)
    return tokeniser


def wrap_tokeniser(tokeniser: Tokenizer) -> PreTrainedTokenizerFast:
    """Wrap a tokeniser for transformers, so that `AutoTokenizer` can load it."""
    return PreTrainedTokenizerFast(tokenizer_object=tokeniser, model_max_length=MAX_TOKENS, **_ROLES)


def load_tokeniser(path: Path) -> Tokenizer:
    """Read a `tokenizer.json`; any other file is a ConfigError."""
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises nothing narrower
        raise ConfigError(f"{path}: not a tokeniser ({error}): remove it to train a new one") from error


def encode_sentence(tokeniser: Tokenizer, text: str, split_prob: float, rng: np.random.Generator) -> list[int]:
    """Encode a sentence as at most 25 ids.

    Tokens of four letters or more are split in two with probability `split_prob`.

    Every training word is one token, so the pieces of unknown words would have untrained embeddings. Random splits
    train them, as BPE-dropout does (Provilkov et al. 2020, https://arxiv.org/abs/1910.13267).
    """
    encoding = tokeniser.encode(text)
    ids: list[int] = []
    for token_id, token in zip(encoding.ids[1:-1], encoding.tokens[1:-1], strict=True):
        if len(token) < _MIN_LETTERS or rng.random() >= split_prob:
            ids.append(token_id)
            continue
        position = int(rng.integers(1, len(token)))
        halves = token[:position], token[position:]
        ids += [piece.id for half in halves for piece in tokeniser.model.tokenize(half)]
    return [encoding.ids[0], *ids[: MAX_TOKENS - 2], encoding.ids[-1]]
