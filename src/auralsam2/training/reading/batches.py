"""Sentences to tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import DataCollatorForLanguageModeling

from auralsam2.data.stampavs.expressions import Expression
from auralsam2.training.reading.network import Batch, Reader
from auralsam2.training.reading.tokeniser import SPECIAL, encode, wrap


class Batches:
    """Makes batches of sentences.

    Args:
        tokeniser: of `tokeniser.train`.
        reader: knows the answers.
        masked: share of the tokens to hide; of these, 8 in 10 become `<mask>`, 1 another token, and 1 stays.
    """

    def __init__(self, tokeniser: Tokenizer, reader: Reader, masked: float) -> None:
        self.tokeniser, self.reader, self.masked = tokeniser, reader, masked
        self._wrapped = wrap(tokeniser)

    def make(self, sentences: Sequence[Expression], cut: float, rng: np.random.Generator) -> Batch:
        """Make one; all chance comes from `rng`. `cut` is that of `tokeniser.encode`."""
        numbers = [encode(self.tokeniser, sentence.text, cut, rng) for sentence in sentences]
        collate = DataCollatorForLanguageModeling(
            self._wrapped, mlm_probability=self.masked, seed=int(rng.integers(2**31))
        )
        covered = collate([{"input_ids": line, "attention_mask": [1] * len(line)} for line in numbers])
        lines = [torch.tensor(line) for line in numbers]
        return Batch(
            tokens=torch.nn.utils.rnn.pad_sequence(lines, batch_first=True, padding_value=SPECIAL.index("<pad>")),
            hidden=covered["input_ids"],
            wanted=covered["labels"],
            said=torch.tensor([self.reader.said(sentence.claim) for sentence in sentences]),
        )
