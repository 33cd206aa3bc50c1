"""How well the encoder reads what is said of scenes, and of things, that training never meets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from auralsam2.stampavs.expressions import Expression
from projects.mini.text_data import SentenceBatches, SentenceStream
from projects.mini.text_network import PARTS, UNKNOWN, TokenBatch

_TOGETHER = 64
_SEED = 77


@dataclass(frozen=True, kw_only=True)
class ReadingFigures:
    """Shares of right answers, 0 to 1.

    Attributes:
        sentences: how many were read.
        masked: of hidden tokens, guessed.
        read: of each part of the claim.
        claim: of whole claims.
        common: of each part, if the commonest answer were always given.
        new_sentences: how many were read that call a thing by a name of none of training's.
        new_names: how many such names there are.
        new_read: of place and hearing in these.
        new_named: of these, in which the name head finds that some name is said; which, it cannot know.
        new_told: of these, whose features lie nearest to the mean of the others of the same name.
        new_told_chance: of these, if a name were drawn.
    """

    sentences: int
    masked: float
    read: dict[str, float]
    claim: float
    common: dict[str, float]
    new_sentences: int
    new_names: int
    new_read: dict[str, float]
    new_named: float
    new_told: float
    new_told_chance: float

    def row(self) -> dict[str, float]:
        """For the log."""
        new = {f"new_{part}": value for part, value in self.new_read.items()}
        return {"masked": self.masked, **self.read, "claim": self.claim, **new, "new_told": self.new_told}

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class TextEvaluation:
    """Sentences of held-out scenes, about trained and about untrained things, each of these once.

    Args:
        scenes: how many of each.
        known: what training calls things.
        sentences: of "val" and of "test-unseen".
    """

    def __init__(self, scenes: int, known: Sequence[str], sentences: tuple[SentenceStream, SentenceStream]) -> None:
        seen, new = ([said for number in range(scenes) for said in part[number]] for part in sentences)
        self.seen: list[Expression] = seen
        named = {said.text: said for said in new if said.claim.name and said.claim.name not in known}
        self.new: list[Expression] = list(named.values())

    @torch.no_grad()
    def measure(self, batches: SentenceBatches) -> ReadingFigures:
        """Read them all, uncut; the hidden tokens are always the same."""
        right, guesses, answers = [], [], []
        for batch in self._batches(batches, self.seen):
            reader = batches.reader
            read = reader.read(reader.features(batch.tokens))
            right.append(torch.stack([read[part].argmax(1) == batch.said[:, i] for i, part in enumerate(PARTS)], 1))
            chosen = batch.wanted != UNKNOWN
            guesses.append(reader.guess(batch.hidden).argmax(2)[chosen] == batch.wanted[chosen])
            answers.append(batch.said)
        correct, given = torch.cat(right), torch.cat(answers)
        return ReadingFigures(
            sentences=len(self.seen),
            masked=_share(torch.cat(guesses)),
            read={part: _share(correct[:, i]) for i, part in enumerate(PARTS)},
            claim=_share(correct.all(1)),
            common={part: _share(given[:, i] == given[:, i].mode().values) for i, part in enumerate(PARTS)},
            **self._measure_new(batches),
        )

    def _measure_new(self, batches: SentenceBatches) -> dict[str, Any]:
        names = [said.claim.name or "" for said in self.new]
        features, right = [], []
        for batch in self._batches(batches, self.new):
            found = batches.reader.features(batch.tokens)
            read = batches.reader.read(found)
            features.append(found)
            named = read["name"].argmax(1) != 0
            right.append(
                torch.stack([named, *(read[p].argmax(1) == batch.said[:, PARTS.index(p)] for p in PARTS[1:])], 1)
            )
        correct = torch.cat(right)
        told, chance = nearest_name_accuracy(torch.cat(features), names)
        return {
            "new_sentences": len(names),
            "new_names": len(set(names)),
            "new_named": _share(correct[:, 0]),
            "new_read": {part: _share(correct[:, i]) for i, part in enumerate(PARTS) if i},
            "new_told": told,
            "new_told_chance": chance,
        }

    def _batches(self, batches: SentenceBatches, said: list[Expression]) -> list[TokenBatch]:
        return [
            batches.make(said[at : at + _TOGETHER], 0.0, np.random.default_rng([_SEED, at]))
            for at in range(0, len(said), _TOGETHER)
        ]


def nearest_name_accuracy(features: torch.Tensor, names: Sequence[str]) -> tuple[float, float]:
    """Whether features tell names apart, though nobody was taught these names.

    Args:
        features: (n, width), of n sentences.
        names: what each calls a thing.

    Returns:
        the share of sentences whose features lie nearest, by cosine after the mean of all is taken away, to the mean of
        the other sentences with their name, among the means of all names; and one over the number of names. Names said
        once only do not count; 0 and 0 where there are fewer than two others.
    """
    counts = Counter(names)
    kept = [number for number, name in enumerate(names) if counts[name] > 1]
    kinds = sorted({names[number] for number in kept})
    if len(kinds) < 2:
        return 0.0, 0.0
    points = features[kept] - features[kept].mean(0)
    owner = torch.tensor([kinds.index(names[number]) for number in kept])
    member = functional.one_hot(owner, len(kinds)).to(points.dtype)
    sums, sizes = member.T @ points, member.sum(0)
    # (n, kinds, width): the mean of each name, without the sentence itself for its own.
    means = (sums[None] - member[..., None] * points[:, None]) / (sizes[None] - member)[..., None]
    nearest = functional.cosine_similarity(points[:, None], means, dim=2).argmax(1)
    return _share(nearest == owner), 1 / len(kinds)


def _share(right: torch.Tensor) -> float:
    return round(right.float().mean().item(), 4)
