"""Sentences about StampAVS scenes, as tensors."""

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
from projects.mini.text_tokeniser import SPECIAL, encode_sentence, wrap_tokeniser

SentenceSplit = Literal["train", "val", "test-unseen"]

SIZE = 64
_ABSENT = 6


class SentenceBatches:
    """Batches of sentences with masked tokens and with the classes of their claims.

    A token is masked with probability `mask_prob`: 8 in 10 masked tokens become `<mask>`, 1 another token, and 1 is
    unchanged.
    """

    def __init__(self, tokeniser: Tokenizer, reader: TextReader, mask_prob: float) -> None:
        self.tokeniser, self.reader, self.mask_prob = tokeniser, reader, mask_prob
        self._wrapped = wrap_tokeniser(tokeniser)

    def make(self, sentences: Sequence[Expression], split_prob: float, rng: np.random.Generator) -> TokenBatch:
        """Encode sentences; see `encode_sentence` for `split_prob`. All random numbers come from `rng`."""
        ids = [encode_sentence(self.tokeniser, sentence.text, split_prob, rng) for sentence in sentences]
        collate = DataCollatorForLanguageModeling(
            self._wrapped, mlm_probability=self.mask_prob, seed=int(rng.integers(2**31))
        )
        masked = collate([{"input_ids": line, "attention_mask": [1] * len(line)} for line in ids])
        lines = [torch.tensor(line) for line in ids]
        return TokenBatch(
            tokens=torch.nn.utils.rnn.pad_sequence(lines, batch_first=True, padding_value=SPECIAL.index("<pad>")),
            masked=masked["input_ids"],
            token_targets=masked["labels"],
            claim_targets=torch.tensor([self.reader.targets(sentence.claim) for sentence in sentences]),
        )


class SentenceStream:
    """Sentences about scenes by number: of each, up to `expressions` about an object and `null_expressions` about none.

    The split "val" has other scenes of the training objects, "test-unseen" objects outside training.
    """

    def __init__(
        self, split: SentenceSplit, *, expressions: int, null_expressions: int, seed: int, stamps: Path | None = None
    ) -> None:
        self.split, self.expressions, self.null_expressions, self.seed = split, expressions, null_expressions, seed
        collection = collect_assets(stamps)
        self.pool = splits.asset_pool(collection, splits.split_assets(collection, 0), split)
        categories = {category.name for category in (*self.pool.targets, *self.pool.distractors)}
        self.names = tuple(sorted(categories | {picture.name for picture in self.pool.silent if picture.name}))
        """All names of objects that a sentence may use."""

    def __getitem__(self, number: int) -> list[Expression]:
        """Write the sentences about scene `number`."""
        rng = np.random.default_rng([self.seed, splits.SPLITS.index(self.split), number])
        scene = draw_scene(rng, self.pool, STANDARD, scene_kind(self.split, number), size=SIZE)
        present = {*scene.categories, *(track.category for track in scene.offscreen)}
        absent = [category for category in self.pool.distractors if category.name not in present]
        absent = [absent[int(choice)] for choice in rng.permutation(len(absent))[:_ABSENT]]
        return write_expressions(scene, self.expressions, self.null_expressions, absent, rng)
