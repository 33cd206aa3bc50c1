"""J, F and S of masks, frame by frame, as the public code of AVSBench, Ref-AVS and AuralSAM2 computes them.

Maps are (N, H, W): logits or probabilities float, masks and labels bool. What the public code does per call, that is
for several frames together, is left to `summary`; here nothing depends on how frames are grouped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

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
class PixelCounts:
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
    def of(cls, masks: torch.Tensor, labels: torch.Tensor) -> PixelCounts:
        """Count masks and labels, both (N, H, W) bool."""
        return cls(count_pixels(masks), count_pixels(labels), count_pixels(masks & labels), masks[0].numel())

    @property
    def either(self) -> torch.Tensor:
        """In the mask or in the label."""
        return self.found + self.there - self.both


def count_pixels(pixels: torch.Tensor) -> torch.Tensor:
    """How many of (N, H, W) bool are set in each frame, (N,) float64."""
    return pixels.flatten(1).sum(1).double()


def threshold_masks(logits: torch.Tensor, threshold: float | None) -> torch.Tensor:
    """Where the object is.

    Args:
        logits: (N, H, W).
        threshold: of the probability, in (0, 1), strict; None for logits above 0.

    Returns:
        (N, H, W) bool.
    """
    return logits > 0 if threshold is None else torch.sigmoid(logits.float()) > threshold


def jaccard(counts: PixelCounts) -> torch.Tensor:
    """J of each frame: intersection over union; without a target, the share of pixels that were left alone.

    Returns:
        (N,) float64 in [0, 1].
    """
    left_alone = (counts.pixels - counts.found) / (counts.pixels + _J_EPSILON)
    return torch.where(counts.there > 0, counts.both / (counts.either + _J_EPSILON), left_alone)


def iou(counts: PixelCounts) -> torch.Tensor:
    """Intersection over union of each frame, (N,) float64 in [0, 1]; 1 where both are empty."""
    return torch.where(counts.either == 0, 1.0, counts.both / counts.either.clamp(min=1))


def f_at(counts: PixelCounts) -> torch.Tensor:
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
    selected, hits = threshold_counts(scores, labels)
    precision = hits.float() / (selected.float() + _F_EPSILON)
    # The lowest threshold is 0: there all of the target is hit.
    recall = hits.float() / (hits[:, :1].float() + _F_EPSILON)
    return f_score(precision, recall)


def f_score(precision: torch.Tensor, recall: torch.Tensor) -> torch.Tensor:
    """F of precision and recall, β² = 0.3, 0 where both are 0."""
    score = (1 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
    return torch.nan_to_num(score, nan=0.0)


def threshold_counts(scores: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
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


RADIUS = 0.008
"""Share of the picture's diagonal within which two contour pixels meet."""


def boundary_f(masks: torch.Tensor, labels: torch.Tensor, radius: int | None = None) -> torch.Tensor:
    """F of the contours of each frame: harmonic mean of the shares of either contour that lie near the other.

    Args:
        masks: (N, H, W) bool.
        labels: (N, H, W) bool.
        radius: in pixels; None for 0.008 of the diagonal, rounded up.

    Returns:
        (N,) float64 in [0, 1]; 1 where both are without contour, 0 where one is.
    """
    if radius is None:
        radius = math.ceil(RADIUS * math.hypot(*masks.shape[1:]))
    found, true = _cropped(contours(masks), contours(labels))
    near_true, near_found = _met(found, true, radius), _met(true, found, radius)
    found_pixels, true_pixels = count_pixels(found), count_pixels(true)
    precision, recall = near_true / found_pixels, near_found / true_pixels
    score = torch.nan_to_num(2 * precision * recall / (precision + recall), nan=0.0)
    return torch.where(found_pixels + true_pixels == 0, 1.0, score)


def contours(masks: torch.Tensor) -> torch.Tensor:
    """Pixels that differ from their neighbour on the right, below, or right below; (N, H, W) bool."""
    edges = torch.zeros_like(masks)
    edges[:, :, :-1] |= masks[:, :, :-1] ^ masks[:, :, 1:]
    edges[:, :-1] |= masks[:, :-1] ^ masks[:, 1:]
    edges[:, :-1, :-1] |= masks[:, :-1, :-1] ^ masks[:, 1:, 1:]
    return edges


def _cropped(found: torch.Tensor, true: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The part of both in which any contour lies: the rest costs time and tells nothing."""
    drawn = (found | true).any(0)
    rows, columns = drawn.any(1).nonzero()[:, 0], drawn.any(0).nonzero()[:, 0]
    if not len(rows):
        return found[:, :1, :1], true[:, :1, :1]
    part = (slice(None), slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    return found[part], true[part]


def _met(contour: torch.Tensor, other: torch.Tensor, radius: int) -> torch.Tensor:
    """(N,) float64: pixels of one contour within the radius of the other's.

    A disc is a stack of rows: with the distance to the other's nearest pixel in the same row known everywhere, each
    pixel of the contour asks 2 · radius + 1 rows.
    """
    frame, row, column = contour.nonzero(as_tuple=True)
    distance = F.pad(_row_distance(other), (0, 0, radius, radius), value=float(contour.shape[2]))
    near = torch.zeros_like(row, dtype=torch.bool)
    for step in range(-radius, radius + 1):
        reach = math.isqrt(radius * radius - step * step)
        near |= distance[frame, row + radius + step, column] <= reach
    return torch.bincount(frame[near], minlength=len(contour)).double()


def _row_distance(pixels: torch.Tensor) -> torch.Tensor:
    """(N, H, W) float32: steps along the row to the nearest pixel that is set; the width where there is none."""
    width = pixels.shape[2]
    place = torch.arange(width, device=pixels.device, dtype=torch.float32)
    left = torch.where(pixels, place, -float(width)).cummax(2).values
    right = torch.where(pixels, place, 2.0 * width).flip(2).cummin(2).values.flip(2)
    return torch.minimum(place - left, right - place).clamp(max=width)


def auroc(scores: torch.Tensor, present: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """Area under the ROC curve: the chance that a frame with a target scores above one without; a tie counts half.

    Exact, ties included.

    Args:
        scores: (N,).
        present: (N,) bool.
        weights: (R, N), how often each frame counts; None for once.

    Returns:
        (R,) float64; NaN where either kind of frame is missing.
    """
    if weights is None:
        weights = torch.ones(1, len(scores))
    values, place = scores.unique(sorted=True, return_inverse=True)
    weights = weights.double()
    empty = weights.new_zeros(len(weights), len(values))
    positive = empty.index_add(1, place[present], weights[:, present])
    negative = empty.index_add(1, place[~present], weights[:, ~present])
    below = negative.cumsum(1) - negative
    wins = (positive * (below + negative / 2)).sum(1)
    return wins / (positive.sum(1) * negative.sum(1))


DRAWS = 1000
LEVEL = 0.95


def draw_weights(units: int, seed: int, draws: int = DRAWS) -> torch.Tensor:
    """How often each unit comes up when as many are drawn with replacement, (draws, units) float64."""
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(units, np.full(units, 1 / units), size=draws)
    return torch.from_numpy(counts).double()


def ratio_draws(weights: torch.Tensor, numerators: torch.Tensor, denominators: torch.Tensor) -> torch.Tensor:
    """A mean in each draw: the sum of the numerators over that of the denominators.

    Args:
        weights: (R, U) from `draw_weights`.
        numerators: (U,) float64, sums of the unit's scores.
        denominators: (U,) float64, numbers of its scores.

    Returns:
        (R,) float64; NaN in draws that hold no score.
    """
    return (weights @ numerators) / (weights @ denominators)


def interval(draws: torch.Tensor) -> tuple[float, float] | None:
    """The middle 95 % of the draws; None where no draw has a value.

    Args:
        draws: (R,), NaN in draws without a value.
    """
    known = draws[~draws.isnan()]
    if not len(known):
        return None
    tail = (1 - LEVEL) / 2
    low, high = torch.quantile(known, known.new_tensor([tail, 1 - tail])).tolist()
    return low, high
