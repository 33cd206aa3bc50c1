"""J, F, IoU, boundary F and AUROC per frame, as in the public code of AVSBench, Ref-AVS and AuralSAM2.

Maps are (N, H, W): logits or probabilities float, masks and labels bool. Each frame is scored alone; `aggregate` joins
frames in calls where the public code does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import KDTree

LEVELS = 255
"""Number of thresholds of the F score."""
BETA_SQUARED = 0.3
"""Weight of recall against precision in the F score."""
_J_EPSILON = 1e-7
_F_EPSILON = 1e-20


def thresholds() -> torch.Tensor:
    """Return the (255,) float32 thresholds of the F score: i / 254, from 0 to 1."""
    return torch.linspace(0, 1 - 1e-10, LEVELS)


@dataclass(frozen=True, slots=True)
class PixelCounts:
    """Pixel counts of N frames, each (N,) float64.

    Attributes:
        predicted: pixels of the mask.
        target: pixels of the label.
        both: pixels of both.
        pixels: pixels of a whole map.
    """

    predicted: torch.Tensor
    target: torch.Tensor
    both: torch.Tensor
    pixels: int

    @classmethod
    def of(cls, masks: torch.Tensor, labels: torch.Tensor) -> PixelCounts:
        """Count the pixels of masks and labels, both (N, H, W) bool."""
        return cls(count_pixels(masks), count_pixels(labels), count_pixels(masks & labels), masks[0].numel())

    @property
    def either(self) -> torch.Tensor:
        """Pixels of the mask or the label."""
        return self.predicted + self.target - self.both


def count_pixels(masks: torch.Tensor) -> torch.Tensor:
    """Count the set pixels of (..., H, W) bool masks, (...) float64."""
    return masks.flatten(-2).sum(-1).double()


def threshold_masks(logits: torch.Tensor, threshold: float | None) -> torch.Tensor:
    """Binarise (N, H, W) logits.

    Args:
        logits: (N, H, W).
        threshold: of the probability, in (0, 1), exclusive; None for logits above 0.

    Returns:
        (N, H, W) bool.
    """
    return logits > 0 if threshold is None else torch.sigmoid(logits.float()) > threshold


def jaccard(counts: PixelCounts) -> torch.Tensor:
    """Compute J of each frame: intersection over union; without a target, the share of background pixels.

    Returns:
        (N,) float64 in [0, 1].
    """
    background = (counts.pixels - counts.predicted) / (counts.pixels + _J_EPSILON)
    return torch.where(counts.target > 0, counts.both / (counts.either + _J_EPSILON), background)


def iou(both: torch.Tensor, either: torch.Tensor) -> torch.Tensor:
    """Divide intersection by union, both in pixels; 1 where the union is empty."""
    return torch.where(either == 0, 1.0, both / either.clamp(min=1))


def mask_iou(masks: torch.Tensor | np.ndarray, labels: torch.Tensor | np.ndarray) -> torch.Tensor:
    """Compute the intersection over union of (..., H, W) bool masks, (...) float64; 1 where both are empty."""
    masks, labels = torch.as_tensor(masks), torch.as_tensor(labels)
    return iou(count_pixels(masks & labels), count_pixels(masks | labels))


def f_at(counts: PixelCounts) -> torch.Tensor:
    """Compute F of each frame's binary mask, without a sweep over thresholds.

    Returns:
        (N,) float64 in [0, 1]; without a target 1 for an empty mask and 0 for any other.
    """
    score = f_score(counts.both / counts.predicted, counts.both / counts.target)
    return torch.where(counts.predicted + counts.target == 0, 1.0, score)


def f_curves(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Compute F of each frame at each threshold: 1.3 · P · R / (0.3 · P + R).

    The mask at a threshold holds the pixels with probability >= threshold. A histogram of the probabilities replaces
    255 comparisons; the counts are the same integers.

    Args:
        scores: (N, H, W) float32 probabilities.
        labels: (N, H, W) bool, each frame with a target: the public code skips frames without.

    Returns:
        (N, 255) float32 in [0, 1]; 0 where precision and recall are 0.
    """
    selected, hits = threshold_counts(scores, labels)
    precision = hits.float() / (selected.float() + _F_EPSILON)
    # At the lowest threshold, 0, all target pixels are hits.
    recall = hits.float() / (hits[:, :1].float() + _F_EPSILON)
    return f_score(precision, recall)


def f_score(precision: torch.Tensor, recall: torch.Tensor) -> torch.Tensor:
    """Combine precision and recall to F, β² = 0.3; 0 where both are 0."""
    score = (1 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
    return torch.nan_to_num(score, nan=0.0)


def threshold_counts(scores: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Count the pixels that reach each threshold, and those of them in the label.

    Args:
        scores: (N, H, W) float32 in [0, 1].
        labels: (N, H, W) bool.

    Returns:
        two (N, 255) int64.
    """
    frames = len(scores)
    levels = thresholds().to(scores.device)
    bins = torch.bucketize(scores.flatten(1), levels, right=True, out_int32=True)  # 0..255 reached thresholds
    bins += labels.flatten(1) * (LEVELS + 1)
    bins += torch.arange(frames, device=scores.device, dtype=torch.int32)[:, None] * (2 * (LEVELS + 1))
    histogram = torch.bincount(bins.flatten(), minlength=frames * 2 * (LEVELS + 1))
    counts = histogram.view(frames, 2, LEVELS + 1)[:, :, 1:].flip(2).cumsum(2).flip(2)
    return counts.sum(1), counts[:, 1]


RADIUS = 0.008
"""Matching distance of contour pixels, as a share of the image diagonal."""


def boundary_f(masks: torch.Tensor, labels: torch.Tensor, radius: int | None = None) -> torch.Tensor:
    """Compute F of the contours: harmonic mean of the shares of either contour within `radius` of the other.

    Args:
        masks: (N, H, W) bool.
        labels: (N, H, W) bool.
        radius: in pixels; None for 0.008 of the diagonal, rounded up.

    Returns:
        (N,) float64 in [0, 1]; 1 where neither has a contour, 0 where only one has.
    """
    if radius is None:
        radius = math.ceil(RADIUS * math.hypot(*masks.shape[1:]))
    pairs = zip(contours(masks).cpu().numpy(), contours(labels).cpu().numpy(), strict=True)
    return torch.tensor([_contour_f(mask, label, radius) for mask, label in pairs], dtype=torch.float64)


def contours(masks: torch.Tensor) -> torch.Tensor:
    """Mark the pixels that differ from their right, lower or lower-right neighbour; (N, H, W) bool."""
    edges = torch.zeros_like(masks)
    edges[:, :, :-1] |= masks[:, :, :-1] ^ masks[:, :, 1:]
    edges[:, :-1] |= masks[:, :-1] ^ masks[:, 1:]
    edges[:, :-1, :-1] |= masks[:, :-1, :-1] ^ masks[:, 1:, 1:]
    return edges


def _contour_f(mask: np.ndarray, label: np.ndarray, radius: int) -> float:
    points, targets = np.argwhere(mask), np.argwhere(label)
    if not len(points) or not len(targets):
        return float(len(points) == len(targets))
    bound = math.sqrt(radius**2 + 0.5)  # squared distances are integers, and the bound of a query is exclusive
    distances = (
        KDTree(targets).query(points, distance_upper_bound=bound)[0],
        KDTree(points).query(targets, distance_upper_bound=bound)[0],
    )
    precision, recall = (np.isfinite(distance).mean() for distance in distances)
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def auroc(scores: torch.Tensor, present: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """Compute the area under the ROC curve: the probability that a frame with a target scores above one without.

    Exact; a tie counts half.

    Args:
        scores: (N,).
        present: (N,) bool.
        weights: (R, N), multiplicity of each frame; None for 1.

    Returns:
        (R,) float64; NaN where either kind of frame is missing.
    """
    if weights is None:
        weights = torch.ones(1, len(scores))
    values, index = scores.unique(sorted=True, return_inverse=True)
    weights = weights.double()
    zeros = weights.new_zeros(len(weights), len(values))
    positive = zeros.index_add(1, index[present], weights[:, present])
    negative = zeros.index_add(1, index[~present], weights[:, ~present])
    below = negative.cumsum(1) - negative
    wins = (positive * (below + negative / 2)).sum(1)
    return wins / (positive.sum(1) * negative.sum(1))


DRAWS = 1000
LEVEL = 0.95


def draw_weights(units: int, seed: int, draws: int = DRAWS) -> torch.Tensor:
    """Draw bootstrap samples: the multiplicity of each unit, (draws, units) float64."""
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(units, np.full(units, 1 / units), size=draws)
    return torch.from_numpy(counts).double()


def ratio_draws(weights: torch.Tensor, numerators: torch.Tensor, denominators: torch.Tensor) -> torch.Tensor:
    """Compute a mean in each bootstrap sample: the sum of the numerators over that of the denominators.

    Args:
        weights: (R, U) from `draw_weights`.
        numerators: (U,) float64, sum of each unit's scores.
        denominators: (U,) float64, number of each unit's scores.

    Returns:
        (R,) float64; NaN in samples without a score.
    """
    return (weights @ numerators) / (weights @ denominators)


def interval(draws: torch.Tensor) -> tuple[float, float] | None:
    """Return the central 95 % interval; None if all draws are NaN.

    Args:
        draws: (R,); NaN values are left out.
    """
    known = draws[~draws.isnan()]
    if not len(known):
        return None
    tail = (1 - LEVEL) / 2
    low, high = torch.quantile(known, known.new_tensor([tail, 1 - tail])).tolist()
    return low, high
