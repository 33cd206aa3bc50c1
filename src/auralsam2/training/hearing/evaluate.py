"""How well a tagger hears: mixtures that it never met, of recordings that it did or did not meet."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from auralsam2.evaluation.presence import auroc
from auralsam2.training.hearing.network import Heard, Tagger
from auralsam2.training.hearing.sounds import Part, Sounds

_TOGETHER = 32


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Means over examples; None where no example can tell.

    Attributes:
        examples: how many; of these, `singles` with one thing that sounds, `mixtures` with two.
        top1: share of singles whose highest tag is right.
        precision: over the mixtures, mean of the average precision of the right tags among all.
        place: mean distance between told and true place, of all that sounds; the picture is 1 wide.
        middle: the same for telling the middle always.
        presence: AUROC of whether anything sounds.
    """

    examples: int
    singles: int
    mixtures: int
    top1: float | None
    precision: float | None
    place: float | None
    middle: float | None
    presence: float | None

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain values."""
        return asdict(self)


def measure(tagger: Tagger, part: Part, examples: int, stamps: Path | None = None) -> Figures:
    """Evaluate on the first so many examples of a part, always the same ones."""
    sounds = Sounds(part, seed=0, stamps=stamps)
    heard, tags, places = [], [], []
    with torch.no_grad():
        for begin in range(0, examples, _TOGETHER):
            batch = sounds.batch(range(begin, min(begin + _TOGETHER, examples)))
            heard.append(tagger(batch.log_mel))
            tags.append(batch.tags)
            places.append(batch.places)
    whole = Heard(**{name: torch.cat([getattr(one, name) for one in heard]) for name in Heard.__slots__})
    return figures(whole, torch.cat(tags), torch.cat(places))


def figures(heard: Heard, tags: torch.Tensor, places: torch.Tensor) -> Figures:
    """Compare what was heard with what sounds: (N, K) bool, and where: (N, K)."""
    count = tags.sum(1)
    single, mixed = count == 1, count == 2
    right = tags.gather(1, heard.tags.argmax(1, keepdim=True)).squeeze(1)[single]
    away = (heard.places - places).abs()[tags]
    return Figures(
        examples=len(tags),
        singles=int(single.sum()),
        mixtures=int(mixed.sum()),
        top1=_mean(right.float()),
        precision=_mean(average_precision(heard.tags[mixed], tags[mixed])),
        place=_mean(away),
        middle=_mean((0.5 - places[tags]).abs()),
        presence=_mean(auroc(heard.presence, tags.any(1)).float()),
    )


def average_precision(scores: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Of each row's ranking: the mean, over what is right, of the share that is right down to there.

    Args:
        scores: (N, K).
        right: (N, K) bool, at least one in each row.

    Returns:
        (N,) float32.
    """
    ranked = right.gather(1, scores.argsort(dim=1, descending=True, stable=True)).float()
    share = ranked.cumsum(1) / torch.arange(1, right.shape[1] + 1)
    return (share * ranked).sum(1) / ranked.sum(1)


def _mean(values: torch.Tensor) -> float | None:
    """None of nothing, and of what is not a number."""
    mean = float(values.mean()) if len(values) else float("nan")
    return mean if mean == mean else None
