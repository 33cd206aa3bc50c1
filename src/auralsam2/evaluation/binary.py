"""J, F and S of masks, frame by frame, as the public code of AVSBench, Ref-AVS and AuralSAM2 computes them.

All take logits (N, H, W) float and labels (N, H, W) bool. A call of the public code is a number of frames; what is
done per call is left to `protocols`, so that here nothing depends on how frames are grouped.
"""

from __future__ import annotations

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


def above(logits: torch.Tensor, threshold: float | None) -> torch.Tensor:
    """Where the object is.

    Args:
        logits: (N, H, W).
        threshold: of the probability, in (0, 1), strict; None for logits above 0.

    Returns:
        (N, H, W) bool.
    """
    return logits > 0 if threshold is None else torch.sigmoid(logits.float()) > threshold


def jaccard(masks: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """J of each frame: intersection over union; without a target, the share of pixels that were left alone.

    Args:
        masks: (N, H, W) bool.
        labels: (N, H, W) bool.

    Returns:
        (N,) float64 in [0, 1].
    """
    both, either = _count(masks & labels), _count(masks | labels)
    left_alone = _count(~masks) / (masks[0].numel() + _J_EPSILON)
    return torch.where(labels.flatten(1).any(1), both / (either + _J_EPSILON), left_alone)


def f_curves(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """F of each frame at each threshold: 1.3 · P · R / (0.3 · P + R) of the pixels with probability >= threshold.

    One histogram of the probabilities stands for the 255 comparisons; the counts are the same integers.

    Args:
        logits: (N, H, W).
        labels: (N, H, W) bool, each frame with a target: the public code skips frames without.

    Returns:
        (N, 255) float32 in [0, 1]; 0 where precision and recall are 0.
    """
    selected, hits = level_counts(torch.sigmoid(logits.float()), labels)
    precision = hits.float() / (selected.float() + _F_EPSILON)
    recall = hits.float() / (labels.flatten(1).sum(1, keepdim=True).float() + _F_EPSILON)
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
    reached = torch.bucketize(scores.flatten(1), levels, right=True, out_int32=True)  # 0..255 thresholds
    place = torch.arange(frames, device=scores.device)[:, None] * 2 + labels.flatten(1)
    bins = torch.bincount((place * (LEVELS + 1) + reached).flatten(), minlength=frames * 2 * (LEVELS + 1))
    bins = bins.view(frames, 2, LEVELS + 1)[:, :, 1:]
    counts = bins.flip(2).cumsum(2).flip(2)
    return counts.sum(1), counts[:, 1]


def f_at(masks: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """F of each frame's mask as it is, without thresholds; without a target 1 for an empty mask and 0 for any other.

    Args:
        masks: (N, H, W) bool.
        labels: (N, H, W) bool.

    Returns:
        (N,) float64 in [0, 1].
    """
    hits, found, there = _count(masks & labels), _count(masks), _count(labels)
    score = f_score(hits / found, hits / there)
    return torch.where(found + there == 0, 1.0, score)


def iou(masks: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Intersection over union of each frame; 1 where both are empty.

    Args:
        masks: (N, H, W) bool.
        labels: (N, H, W) bool.

    Returns:
        (N,) float64 in [0, 1].
    """
    both, either = _count(masks & labels), _count(masks | labels)
    return torch.where(either == 0, 1.0, both / either.clamp(min=1))


def _count(pixels: torch.Tensor) -> torch.Tensor:
    """(N,) float64 numbers of pixels."""
    return pixels.flatten(1).sum(1).double()
