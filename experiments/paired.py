"""Differences between two runs over the same clips, with bootstrap intervals over clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import torch

from auralsam2.evaluation.metrics import draw_weights, interval, ratio_draws
from reporting import Number

Sums = dict[str, tuple[float, float]]
"""Sum and number of values by clip."""


def clip_sums(samples: list[dict[str, Any]], *, with_target: bool = False, scores: Sequence[str] = ("iou",)) -> Sums:
    """Sum a score of the frames of each clip.

    Args:
        samples: rows of a report of `evaluate`.
        with_target: only frames with a target.
        scores: names of the scores in the report, of which each frame has the mean.
    """
    sums: Sums = {}
    for row in samples:
        frames = row["frames"]
        means = (fmean(values) for values in zip(*(frames[score] for score in scores), strict=True))
        values = [mean for mean, truth in zip(means, frames["truth"], strict=True) if truth > 0 or not with_target]
        total, count = sums.get(row["clip"], (0.0, 0.0))
        sums[row["clip"]] = total + math.fsum(values), count + len(values)
    return sums


def difference(sums: Sums, reference: Sums, seed: int) -> Number | None:
    """Compute the mean of `sums` minus the mean of `reference` over their common clips; None without frames."""
    clips = [
        clip for clip in sorted(sums.keys() & reference.keys()) if sums[clip][1] and sums[clip][1] == reference[clip][1]
    ]
    return ratio({clip: (sums[clip][0] - reference[clip][0], sums[clip][1]) for clip in clips}, seed)


def ratio(terms: Sums, seed: int) -> Number | None:
    """Divide the sum of the first entries by that of the second; None if the latter is 0."""
    clips = sorted(terms)
    numerator, denominator = (math.fsum(terms[clip][part] for clip in clips) for part in (0, 1))
    if not denominator:
        return None
    columns = torch.tensor([terms[clip] for clip in clips], dtype=torch.float64)
    samples = ratio_draws(draw_weights(len(clips), seed), columns[:, 0], columns[:, 1])
    low, high = interval(samples) or (math.nan, math.nan)
    count = sum(bool(terms[clip][1]) for clip in clips)
    return {"value": numerator / denominator, "low": low, "high": high, "count": count}
