"""95 % intervals by resampling clips."""

from __future__ import annotations

import numpy as np
import torch

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
