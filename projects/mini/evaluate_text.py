"""Accuracy of the text encoder on sentences about scenes and objects outside training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from auralsam2.stampavs.expressions import Expression
from projects.mini.text_data import SentenceBatches, SentenceStream
from projects.mini.text_network import IGNORED, PARTS, TokenBatch

_BATCH = 64
_SEED = 77


@dataclass(frozen=True, kw_only=True)
class ReadingFigures:
    """Accuracies, from 0 to 1. "New" sentences use a name that no training sentence uses.

    Attributes:
        sentences: number of sentences about scenes outside training.
        masked: accuracy on masked tokens.
        parts: accuracy of each of `PARTS`.
        claim: share of claims with all parts correct.
        common: for each part, the accuracy of its most frequent class.
        new_sentences: number of new sentences.
        new_names: number of their names.
        new_parts: accuracy of place and hearing.
        new_named: share in which the name head predicts some name.
        new_nearest: accuracy of `nearest_name_accuracy`.
        new_nearest_chance: the same by chance.
    """

    sentences: int
    masked: float
    parts: dict[str, float]
    claim: float
    common: dict[str, float]
    new_sentences: int
    new_names: int
    new_parts: dict[str, float]
    new_named: float
    new_nearest: float
    new_nearest_chance: float

    def row(self) -> dict[str, float]:
        """Return the columns of the log."""
        new = {f"new_{part}": value for part, value in self.new_parts.items()}
        return {"masked": self.masked, **self.parts, "claim": self.claim, **new, "new_nearest": self.new_nearest}


class TextEvaluation:
    """Sentences about scenes outside training.

    All about known objects, and each different one with a name not in `names`.
    """

    def __init__(self, scenes: int, names: Sequence[str], val: SentenceStream, unseen: SentenceStream) -> None:
        self.known: list[Expression] = [sentence for number in range(scenes) for sentence in val[number]]
        new = [sentence for number in range(scenes) for sentence in unseen[number]]
        by_text = {sentence.text: sentence for sentence in new if sentence.claim.name not in (None, "", *names)}
        self.new: list[Expression] = list(by_text.values())

    @torch.no_grad()
    def measure(self, batches: SentenceBatches) -> ReadingFigures:
        """Evaluate without random splits; the masked tokens are always the same."""
        reader = batches.reader
        correct, tokens, targets = [], [], []
        for batch in _encode(batches, self.known):
            classes = reader.classify(reader.features(batch.tokens))
            predicted = torch.stack([classes[part].argmax(1) for part in PARTS], 1)
            correct.append(predicted == batch.claim_targets)
            masked = batch.token_targets != IGNORED
            tokens.append(reader.predict_tokens(batch.masked).argmax(2)[masked] == batch.token_targets[masked])
            targets.append(batch.claim_targets)
        right, target = torch.cat(correct), torch.cat(targets)

        names = [sentence.claim.name or "" for sentence in self.new]
        features, new_correct = [], []
        for batch in _encode(batches, self.new):
            features.append(reader.features(batch.tokens))
            classes = reader.classify(features[-1])
            predicted = torch.stack([classes[part].argmax(1) for part in PARTS], 1)
            new_correct.append(torch.cat([predicted[:, :1] != 0, predicted[:, 1:] == batch.claim_targets[:, 1:]], 1))
        new_right = torch.cat(new_correct)
        nearest, chance = nearest_name_accuracy(torch.cat(features), names)
        return ReadingFigures(
            sentences=len(self.known),
            masked=_share(torch.cat(tokens)),
            parts={part: _share(right[:, i]) for i, part in enumerate(PARTS)},
            claim=_share(right.all(1)),
            common={part: _share(target[:, i] == target[:, i].mode().values) for i, part in enumerate(PARTS)},
            new_sentences=len(names),
            new_names=len(set(names)),
            new_parts={part: _share(new_right[:, i]) for i, part in enumerate(PARTS) if i},
            new_named=_share(new_right[:, 0]),
            new_nearest=nearest,
            new_nearest_chance=chance,
        )


def _encode(batches: SentenceBatches, sentences: list[Expression]) -> list[TokenBatch]:
    return [
        batches.make(sentences[first : first + _BATCH], 0.0, np.random.default_rng([_SEED, first]))
        for first in range(0, len(sentences), _BATCH)
    ]


def nearest_name_accuracy(features: torch.Tensor, names: Sequence[str]) -> tuple[float, float]:
    """Measure whether the features (n, width) of n sentences separate the names of their objects.

    The mean of all features is subtracted. A sentence is correct if, among the mean features of all names, that of the
    other sentences with its own name is nearest by cosine. Names of a single sentence are left out.

    Returns:
        share of correct sentences, and 1 / number of names; 0 and 0 for fewer than two names.
    """
    counts = Counter(names)
    rows = [row for row, name in enumerate(names) if counts[name] > 1]
    distinct = sorted({names[row] for row in rows})
    if len(distinct) < 2:
        return 0.0, 0.0
    points = features[rows] - features[rows].mean(0)
    owner = torch.tensor([distinct.index(names[row]) for row in rows])
    member = functional.one_hot(owner, len(distinct)).to(points.dtype)
    sums, sizes = member.T @ points, member.sum(0)
    # (n, names, width): the mean of each name, without the sentence itself for its own name.
    means = (sums[None] - member[..., None] * points[:, None]) / (sizes[None] - member)[..., None]
    nearest = functional.cosine_similarity(points[:, None], means, dim=2).argmax(1)
    return _share(nearest == owner), 1 / len(distinct)


def _share(correct: torch.Tensor) -> float:
    return round(correct.float().mean().item(), 4)
