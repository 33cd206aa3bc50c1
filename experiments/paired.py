"""Differences between two runs over the same clips, with bootstrap intervals over clips."""

from __future__ import annotations

import math
from typing import Any

import torch

from auralsam2.evaluation.metrics import draw_weights, interval, ratio_draws

Number = dict[str, Any]


def clip_sums(samples: list[dict[str, Any]], *, with_target: bool = False) -> dict[str, tuple[float, float]]:
    """Return the sum and number of the frames' IoU by clip.

    Args:
        samples: rows of a report of `evaluate`.
        with_target: only frames with a target.
    """
    sums: dict[str, tuple[float, float]] = {}
    for row in samples:
        frames = row["frames"]
        kept = [
            value for value, truth in zip(frames["iou"], frames["truth"], strict=True) if truth > 0 or not with_target
        ]
        total, count = sums.get(row["clip"], (0.0, 0.0))
        sums[row["clip"]] = total + math.fsum(kept), count + len(kept)
    return sums


def difference(one: dict[str, tuple[float, float]], other: dict[str, tuple[float, float]], seed: int) -> Number | None:
    """Compute the difference of the means of two runs over their common clips: `value`, `low`, `high`, `count`.

    Args:
        one: sums and counts by clip.
        other: the same of the other run, over the same frames.
        seed: of the draws.

    Returns:
        None where no clip has a frame.
    """
    clips = [clip for clip in sorted(one.keys() & other.keys()) if one[clip][1] and one[clip][1] == other[clip][1]]
    return ratio({clip: (one[clip][0] - other[clip][0], one[clip][1]) for clip in clips}, seed)


def ratio(terms: dict[str, tuple[float, float]], seed: int) -> Number | None:
    """Divide the sum of the first entries by that of the second; None if the latter is 0."""
    units = sorted(terms)
    top, bottom = (math.fsum(terms[unit][part] for unit in units) for part in (0, 1))
    if not bottom:
        return None
    columns = torch.tensor([terms[unit] for unit in units], dtype=torch.float64)
    draws = ratio_draws(draw_weights(len(units), seed), columns[:, 0], columns[:, 1])
    low, high = interval(draws) or (math.nan, math.nan)
    return {"value": top / bottom, "low": low, "high": high, "count": int(sum(bool(terms[u][1]) for u in units))}


def cell(number: Number | None, digits: int = 3) -> str:
    """Format a number with its interval; a dash for None."""
    if number is None:
        return "-"
    return f"{number['value']:.{digits}f} [{number['low']:.{digits}f}, {number['high']:.{digits}f}]"
