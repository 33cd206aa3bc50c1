"""Class-wise IoU and F over label maps, as AVSBench-semantic is scored: frame by frame, summed class by class."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from auralsam2.evaluation.metrics import f_score

CLASSES = 71
"""AVSBench-semantic: background, which is class 0, and 70 kinds of objects."""
_EPSILON = 2.220446049250313e-16


@dataclass(frozen=True, kw_only=True)
class SemanticSums:
    """What frames add up to, class by class.

    Attributes:
        iou: (C,) float64, sum of the class's IoU.
        f: (C,) float64, sum of the class's F, β² = 0.3.
        count: (C,) int64, frames in which the class is predicted or true.
    """

    iou: torch.Tensor
    f: torch.Tensor
    count: torch.Tensor

    @classmethod
    def zero(cls, classes: int = CLASSES) -> SemanticSums:
        """Nothing yet."""
        sums = torch.zeros(2, classes, dtype=torch.float64)
        return cls(iou=sums[0], f=sums[1], count=torch.zeros(classes, dtype=torch.int64))

    def __add__(self, other: SemanticSums) -> SemanticSums:
        return SemanticSums(iou=self.iou + other.iou, f=self.f + other.f, count=self.count + other.count)

    def means(self, dropped: int | None = None) -> tuple[float, float]:
        """Mean IoU and F: the mean over the classes of their mean over frames; a class never met has 0 and counts.

        Args:
            dropped: a class to leave out: 0 is the background; the AVSBench script drops the last class instead, and
                calls that "without background".
        """
        kept = torch.ones_like(self.count, dtype=torch.bool)
        if dropped is not None:
            kept[dropped] = False
        met = self.count.clamp(min=1)
        return float((self.iou / met)[kept].mean()), float((self.f / met)[kept].mean())

    def means_of_seen(self) -> tuple[float, float, int]:
        """Mean IoU and F over the classes that were met, and their number: what the AVSBench script logs as it runs."""
        seen = self.count > 0
        number = int(seen.sum())
        if not number:
            return 0.0, 0.0, 0
        met = self.count[seen]
        return float((self.iou[seen] / met).mean()), float((self.f[seen] / met).mean()), number


def semantic_sums(
    predicted: torch.Tensor, labels: torch.Tensor, classes: int = CLASSES, ignored: int | None = None
) -> SemanticSums:
    """Score label maps.

    Args:
        predicted: (N, H, W) integers below `classes`.
        labels: (N, H, W) integers below `classes`, or `ignored`.
        classes: their number.
        ignored: label of pixels that do not count.
    """
    both, found, there = _class_counts(predicted, labels, classes, ignored)
    union = found + there - both
    f = f_score(both / found, both / there)
    return SemanticSums(iou=(both / (union + _EPSILON)).sum(0), f=f.sum(0), count=(union > 0).sum(0))


def overlapping_miou(predicted: torch.Tensor, labels: torch.Tensor, classes: int = CLASSES) -> torch.Tensor:
    """(N,) mean IoU of each frame over the classes that overlap at all; NaN where none does.

    A list that the AVSBench script makes beside its scores; it flatters, for missed classes are left out.
    """
    both, found, there = _class_counts(predicted, labels, classes, None)
    ious = both / (found + there - both + _EPSILON)
    return ious.sum(1) / (ious != 0).sum(1)


def _class_counts(
    predicted: torch.Tensor, labels: torch.Tensor, classes: int, ignored: int | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pixels of each class: in both maps, in the prediction, in the labels; each (N, C) float64."""
    frames = len(labels)
    frame = torch.arange(frames, device=labels.device)[:, None].expand(-1, labels[0].numel())
    kept = torch.ones_like(frame, dtype=torch.bool) if ignored is None else labels.flatten(1) != ignored
    frame, p, g = frame[kept], predicted.flatten(1)[kept].long(), labels.flatten(1)[kept].long()

    def count(frame: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        bins = torch.bincount(frame * classes + value, minlength=frames * classes)
        return bins.view(frames, classes).double().cpu()

    same = p == g
    return count(frame[same], p[same]), count(frame, p), count(frame, g)
