"""Sentences to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import DataCollatorForLanguageModeling

from auralsam2.stampavs import splits
from auralsam2.stampavs.assets import collect_assets
from auralsam2.stampavs.expressions import Expression, write_expressions
from auralsam2.stampavs.presets import STANDARD, scene_kind
from auralsam2.stampavs.scene import draw_scene
from projects.mini.text_network import TextReader, TokenBatch
from projects.mini.text_tokeniser import SPECIAL, encode_sentences, wrap_tokeniser


class SentenceBatches:
    """Makes batches of sentences.

    Args:
        tokeniser: of `tokeniser.train`.
        reader: knows the answers.
        masked: share of the tokens to hide; of these, 8 in 10 become `<mask>`, 1 another token, and 1 stays.
    """

    def __init__(self, tokeniser: Tokenizer, reader: TextReader, masked: float) -> None:
        self.tokeniser, self.reader, self.masked = tokeniser, reader, masked
        self._wrapped = wrap_tokeniser(tokeniser)

    def make(self, sentences: Sequence[Expression], cut: float, rng: np.random.Generator) -> TokenBatch:
        """Make one; all chance comes from `rng`. `cut` is that of `tokeniser.encode`."""
        numbers = [encode_sentences(self.tokeniser, sentence.text, cut, rng) for sentence in sentences]
        collate = DataCollatorForLanguageModeling(
            self._wrapped, mlm_probability=self.masked, seed=int(rng.integers(2**31))
        )
        covered = collate([{"input_ids": line, "attention_mask": [1] * len(line)} for line in numbers])
        lines = [torch.tensor(line) for line in numbers]
        return TokenBatch(
            tokens=torch.nn.utils.rnn.pad_sequence(lines, batch_first=True, padding_value=SPECIAL.index("<pad>")),
            hidden=covered["input_ids"],
            wanted=covered["labels"],
            said=torch.tensor([self.reader.said(sentence.claim) for sentence in sentences]),
        )


SentenceSplit = Literal["train", "val", "test-unseen"]

SIZE = 64
_ABSENT = 6


class SentenceStream:
    """Sentences about scenes by number.

    Args:
        part: "train", "val" for other scenes of the same things, "test-unseen" for things that training never meets.
        told: most sentences of a scene that refer to an object.
        nulls: most that refer to none.
        seed: another one, other scenes.
        stamps: folder of stamps, None for the Debian package's.
    """

    def __init__(self, part: SentenceSplit, *, told: int, nulls: int, seed: int, stamps: Path | None = None) -> None:
        self.part, self.told, self.nulls, self.seed = part, told, nulls, seed
        collection = collect_assets(stamps)
        self.pool = splits.asset_pool(collection, splits.split_assets(collection, 0), part)
        categories = {category.name for category in (*self.pool.targets, *self.pool.others)}
        self.names = tuple(sorted(categories | {picture.name for picture in self.pool.silent if picture.name}))
        """All that a sentence may call a thing."""

    def __getitem__(self, number: int) -> list[Expression]:
        """What is said of scene number `number`."""
        rng = np.random.default_rng([self.seed, splits.SPLITS.index(self.part), number])
        scene = draw_scene(rng, self.pool, STANDARD, scene_kind(self.part, number), size=SIZE)
        there = {*scene.categories, *(track.category for track in scene.offscreen)}
        away = [category for category in self.pool.others if category.name not in there]
        absent = [away[int(choice)] for choice in rng.permutation(len(away))[:_ABSENT]]
        return write_expressions(scene, self.told, self.nulls, absent, rng)
