"""IoU and F per class over label maps, the scores of AVSBench-semantic."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from auralsam2.evaluation.metrics import f_score

CLASSES = 71
"""Classes of AVSBench-semantic: background, class 0, and 70 object classes."""
_EPSILON = 2.220446049250313e-16


@dataclass(frozen=True, kw_only=True)
class SemanticSums:
    """Sums over frames for each of C classes.

    Attributes:
        iou: (C,) float64, sum of the IoU.
        f: (C,) float64, sum of F, β² = 0.3.
        count: (C,) int64, frames in which the class is predicted or true.
    """

    iou: torch.Tensor
    f: torch.Tensor
    count: torch.Tensor

    @classmethod
    def zero(cls, classes: int = CLASSES) -> SemanticSums:
        """Return sums over no frame."""
        sums = torch.zeros(2, classes, dtype=torch.float64)
        return cls(iou=sums[0], f=sums[1], count=torch.zeros(classes, dtype=torch.int64))

    def __add__(self, other: SemanticSums) -> SemanticSums:
        return SemanticSums(iou=self.iou + other.iou, f=self.f + other.f, count=self.count + other.count)

    def means(self, dropped: int | None = None, present: torch.Tensor | None = None) -> tuple[float, float]:
        """Return mean IoU and F: the mean over classes of the mean over frames; an absent class counts as 0.

        Args:
            dropped: class to leave out; 0 is the background. The AVSBench script drops the last class instead and calls
                the result "without background".
            present: (C,) bool, the classes of the mean; None for all.
        """
        included = torch.ones_like(self.count, dtype=torch.bool) if present is None else present.clone()
        if dropped is not None:
            included[dropped] = False
        frames = self.count.clamp(min=1)
        return float((self.iou / frames)[included].mean()), float((self.f / frames)[included].mean())


def semantic_sums(
    predicted: torch.Tensor, labels: torch.Tensor, classes: int = CLASSES, ignored: int | None = None
) -> SemanticSums:
    """Score label maps.

    Args:
        predicted: (N, H, W) integers below `classes`.
        labels: (N, H, W) integers below `classes`, or `ignored`.
        classes: their number.
        ignored: label of pixels to leave out.
    """
    both, prediction, target = _class_counts(predicted, labels, classes, ignored)
    union = prediction + target - both
    f = f_score(both / prediction, both / target)
    return SemanticSums(iou=(both / (union + _EPSILON)).sum(0), f=f.sum(0), count=(union > 0).sum(0))


def _class_counts(
    predicted: torch.Tensor, labels: torch.Tensor, classes: int, ignored: int | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Count the pixels of each class: in both maps, in the prediction and in the labels; each (N, C) float64."""
    frames = len(labels)
    frame = torch.arange(frames, device=labels.device)[:, None].expand(-1, labels[0].numel())
    counted = torch.ones_like(frame, dtype=torch.bool) if ignored is None else labels.flatten(1) != ignored
    frame, p, g = frame[counted], predicted.flatten(1)[counted].long(), labels.flatten(1)[counted].long()

    def count(frame: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        bins = torch.bincount(frame * classes + value, minlength=frames * classes)
        return bins.view(frames, classes).double().cpu()

    same = p == g
    return count(frame[same], p[same]), count(frame, p), count(frame, g)
