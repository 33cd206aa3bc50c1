"""Average precision of tracks, as for video instance segmentation and AVIS: mAP over IoU 0.5 to 0.95.

The IoU of two tracks is spatio-temporal: the sum over frames of the intersections over the sum of the unions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, kw_only=True)
class PredictedTrack:
    """A predicted track of a clip.

    Attributes:
        masks: (T, H, W) bool, empty where the object is absent.
        score: confidence.
    """

    masks: torch.Tensor
    score: float


def track_iou(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the spatio-temporal IoU of two tracks (T, H, W) bool; 0 if both are empty."""
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 0.0


def track_map(clips: Iterable[tuple[Sequence[PredictedTrack], Sequence[torch.Tensor]]]) -> dict[str, float]:
    """Compute the average precision over clips, without classes.

    Per clip and threshold, predicted tracks in descending order of score match the free true track of the highest IoU.
    Precision is made monotonic and averaged over 101 recalls, as in COCO.

    Args:
        clips: predicted tracks, and true tracks (T, H, W) bool; empty true tracks do not count.

    Returns:
        `mAP`, `AP50` and `AP75`, in [0, 1]; empty without a true track.
    """
    scores: list[float] = []
    hits: list[np.ndarray] = []
    total = 0
    for predicted, truth in clips:
        truth = [track for track in truth if bool(track.any())]
        total += len(truth)
        ranked = sorted(predicted, key=lambda track: -track.score)
        ious = [[track_iou(track.masks, true) for true in truth] for track in ranked]
        hit = np.zeros((len(ranked), len(THRESHOLDS)), bool)
        for column, threshold in enumerate(THRESHOLDS):
            free = set(range(len(truth)))
            for row, overlaps in enumerate(ious):
                best = max(free, key=lambda number: overlaps[number], default=None)
                if best is not None and overlaps[best] >= threshold:
                    hit[row, column] = True
                    free.remove(best)
        scores += [track.score for track in ranked]
        hits += list(hit)
    if not total:
        return {}
    order = np.argsort(-np.asarray(scores), kind="stable")
    table = np.stack(hits)[order] if hits else np.zeros((0, len(THRESHOLDS)), bool)
    values = [_average_precision(table[:, column], total) for column in range(len(THRESHOLDS))]
    return {
        "mAP": float(np.mean(values)),
        "AP50": values[THRESHOLDS.index(0.5)],
        "AP75": values[THRESHOLDS.index(0.75)],
    }


def _average_precision(hits: np.ndarray, total: int) -> float:
    """Average the precision over recalls for matches in descending order of score."""
    if not len(hits):
        return 0.0
    found = hits.cumsum()
    precision = np.maximum.accumulate((found / np.arange(1, len(hits) + 1))[::-1])[::-1]
    positions = np.searchsorted(found / total, _RECALLS)
    return sum(float(precision[at]) for at in positions if at < len(precision)) / len(positions)
