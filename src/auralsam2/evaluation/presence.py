"""Whether anything sounds at all: how well the object score tells frames with a target from frames without."""

from __future__ import annotations

import torch


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
