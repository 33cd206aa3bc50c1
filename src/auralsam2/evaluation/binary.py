"""J, F and S of masks, frame by frame, as the public code of AVSBench, Ref-AVS and AuralSAM2 computes them.

Maps are (N, H, W): logits or probabilities float, masks and labels bool. What the public code does per call, that is
for several frames together, is left to `summary`; here nothing depends on how frames are grouped.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

LEVELS = 255
"""Thresholds of the F score."""
BETA_SQUARED = 0.3
"""Weight of recall against precision in the F score."""
_J_EPSILON = 1e-7
_F_EPSILON = 1e-20


def thresholds() -> torch.Tensor:
    """The (255,) float32 thresholds of the F score: i / 254, both 0 and 1 among them."""
    return torch.linspace(0, 1 - 1e-10, LEVELS)


@dataclass(frozen=True, slots=True)
class Counts:
    """Pixels of N frames, each (N,) float64.

    Attributes:
        found: in the mask.
        there: in the label.
        both: in both.
        pixels: of a whole map.
    """

    found: torch.Tensor
    there: torch.Tensor
    both: torch.Tensor
    pixels: int

    @classmethod
    def of(cls, masks: torch.Tensor, labels: torch.Tensor) -> Counts:
        """Count masks and labels, both (N, H, W) bool."""
        return cls(count(masks), count(labels), count(masks & labels), masks[0].numel())

    @property
    def either(self) -> torch.Tensor:
        """In the mask or in the label."""
        return self.found + self.there - self.both


def count(pixels: torch.Tensor) -> torch.Tensor:
    """How many of (N, H, W) bool are set in each frame, (N,) float64."""
    return pixels.flatten(1).sum(1).double()


def above(logits: torch.Tensor, threshold: float | None) -> torch.Tensor:
    """Where the object is.

    Args:
        logits: (N, H, W).
        threshold: of the probability, in (0, 1), strict; None for logits above 0.

    Returns:
        (N, H, W) bool.
    """
    return logits > 0 if threshold is None else torch.sigmoid(logits.float()) > threshold


def jaccard(counts: Counts) -> torch.Tensor:
    """J of each frame: intersection over union; without a target, the share of pixels that were left alone.

    Returns:
        (N,) float64 in [0, 1].
    """
    left_alone = (counts.pixels - counts.found) / (counts.pixels + _J_EPSILON)
    return torch.where(counts.there > 0, counts.both / (counts.either + _J_EPSILON), left_alone)


def iou(counts: Counts) -> torch.Tensor:
    """Intersection over union of each frame, (N,) float64 in [0, 1]; 1 where both are empty."""
    return torch.where(counts.either == 0, 1.0, counts.both / counts.either.clamp(min=1))


def f_at(counts: Counts) -> torch.Tensor:
    """F of each frame's mask as it is, without a sweep over thresholds.

    Returns:
        (N,) float64 in [0, 1]; without a target 1 for an empty mask and 0 for any other.
    """
    score = f_score(counts.both / counts.found, counts.both / counts.there)
    return torch.where(counts.found + counts.there == 0, 1.0, score)


def f_curves(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """F of each frame at each threshold: 1.3 · P · R / (0.3 · P + R) of the pixels with probability >= threshold.

    One histogram of the probabilities stands for the 255 comparisons; the counts are the same integers.

    Args:
        scores: (N, H, W) float32 probabilities.
        labels: (N, H, W) bool, each frame with a target: the public code skips frames without.

    Returns:
        (N, 255) float32 in [0, 1]; 0 where precision and recall are 0.
    """
    selected, hits = level_counts(scores, labels)
    precision = hits.float() / (selected.float() + _F_EPSILON)
    # The lowest threshold is 0: there all of the target is hit.
    recall = hits.float() / (hits[:, :1].float() + _F_EPSILON)
    return f_score(precision, recall)


def f_score(precision: torch.Tensor, recall: torch.Tensor) -> torch.Tensor:
    """F of precision and recall, β² = 0.3, 0 where both are 0."""
    score = (1 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
    return torch.nan_to_num(score, nan=0.0)


def level_counts(scores: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How many pixels reach each threshold, and how many of them lie on the object.

    Args:
        scores: (N, H, W) float32 in [0, 1].
        labels: (N, H, W) bool.

    Returns:
        two (N, 255) int64.
    """
    frames = len(scores)
    levels = thresholds().to(scores.device)
    bins = torch.bucketize(scores.flatten(1), levels, right=True, out_int32=True)  # 0..255 thresholds reached
    bins += labels.flatten(1) * (LEVELS + 1)
    bins += torch.arange(frames, device=scores.device, dtype=torch.int32)[:, None] * (2 * (LEVELS + 1))
    histogram = torch.bincount(bins.flatten(), minlength=frames * 2 * (LEVELS + 1))
    counts = histogram.view(frames, 2, LEVELS + 1)[:, :, 1:].flip(2).cumsum(2).flip(2)
    return counts.sum(1), counts[:, 1]
