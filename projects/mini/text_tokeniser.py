"""Text to tokens: byte-level byte-pair encoding, made from the sentences of training.

Bytes are tokens as well, so any word can be spelled, met or not.
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
"""In RoBERTa's order: their places in it are their numbers, which `RobertaConfig` takes for granted."""
_ROLES = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}
_SHORTEST = 4


def train_tokeniser(sentences: Iterable[str], vocabulary: int) -> Tokenizer:
    """Make a tokeniser; the same sentences always give the same one.

    Args:
        sentences: what it shall be good at.
        vocabulary: most tokens; pairs are merged until then, or until every word of the sentences is one token.
    """
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
    """The tokeniser as transformers knows it, to be saved and found again by `AutoTokenizer`."""
    return PreTrainedTokenizerFast(tokenizer_object=tokeniser, model_max_length=MAX_TOKENS, **_ROLES)


def load_tokeniser(path: Path) -> Tokenizer:
    """Read a `tokenizer.json`.

    Raises:
        ConfigError: it is none.
    """
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises nothing narrower
        raise ConfigError(f"{path}: no tokeniser ({error}): remove it, and it will be made anew") from error


def encode_sentences(tokeniser: Tokenizer, text: str, cut: float, rng: np.random.Generator) -> list[int]:
    """Tokens of a sentence, some of them cut in two at a random letter and spelled in pieces.

    Every word of training is one token, and the pieces of words never met would have features never trained. Cuts teach
    them, as BPE-dropout does (Provilkov et al. 2020, https://arxiv.org/abs/1910.13267), but from a generator of ours.

    Args:
        tokeniser: of `train`.
        text: a sentence.
        cut: how often a token of four letters or more is cut.
        rng: draws the cuts.

    Returns:
        at most 25 numbers, the first and the last those of `<s>` and `</s>`.
    """
    found = tokeniser.encode(text)
    numbers: list[int] = []
    for number, token in zip(found.ids[1:-1], found.tokens[1:-1], strict=True):
        if len(token) < _SHORTEST or rng.random() >= cut:
            numbers.append(number)
            continue
        at = int(rng.integers(1, len(token)))
        numbers += [piece.id for part in (token[:at], token[at:]) for piece in tokeniser.model.tokenize(part)]
    return [found.ids[0], *numbers[: MAX_TOKENS - 2], found.ids[-1]]
