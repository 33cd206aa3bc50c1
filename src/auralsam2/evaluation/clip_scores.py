"""The scores of one sample: a row of plain numbers that is enough to score the data set under its protocol."""

from __future__ import annotations

import math
from typing import Any

import torch

from auralsam2.data.sample import LoadedClip
from auralsam2.evaluation.metrics import (
    PixelCounts,
    boundary_f,
    count_pixels,
    f_at,
    f_curves,
    iou,
    jaccard,
    threshold_masks,
)
from auralsam2.evaluation.options import ScoringProtocol
from auralsam2.evaluation.predictor import Prediction
from auralsam2.evaluation.semantic import semantic_sums
from auralsam2.inference.tracker import full_size
from auralsam2.modeling.log_mel import OFFSET

SILENT = math.log(2 * OFFSET)
"""A second is silent if no band of its log-mel example rises above this: the energy stays below the offset."""
IGNORED = 255
COLUMNS = ("t", "truth", "area", "j", "iou", "f", "boundary", "lit", "object_score", "predicted_iou", "silent")


def score_clip(prediction: Prediction, clip: LoadedClip, protocol: ScoringProtocol) -> dict[str, Any]:
    """Score the supervised frames of a sample.

    Args:
        prediction: of all its T frames.
        clip: with labels at the protocol's size.
        protocol: size and threshold of the maps.

    Returns:
        `id`, `clip`, `kind` and `null` of the sample, and
        `frames`: columns of one value a supervised frame: its number `t`; the shares of the map that are target
            (`truth`), mask (`area`) and probability above one half (`lit`); J as published (`j`), intersection over
            union with 1 for two empty maps (`iou`), F of the mask (`f`), boundary F (`boundary`), the model's own
            `object_score` and `predicted_iou`, and whether the sound it heard was silent (`silent`);
        `neighbours`: `pairs` of neighbouring supervised frames, and over them the sums of the IoU of the two masks
            (`masks`) and of the two labels (`labels`);
        `curve`: where the protocol joins frames in calls, the sum over the frames with a target of F at 255
            thresholds;
        `classes`: where the labels have classes, `iou`, `f` and `count` of each class that was met, in order of
            `names`.

    Raises:
        ValueError: a logit or score is not a finite number.
    """
    kept = clip.supervised.nonzero()[:, 0]
    device = prediction.logits.device
    logits = full_size(prediction.logits[None, kept.to(device)], protocol.size)[0]
    scores = torch.stack([prediction.object_scores, prediction.ious])[:, kept].double()
    if not (prediction.logits.isfinite().all() and scores.isfinite().all()):
        raise ValueError("the model's masks hold values that are not finite numbers; try `dtype=fp32`")
    labels = clip.labels[kept].to(device)
    columns, curve = score_maps(logits, labels, protocol)
    columns |= {
        "t": kept,
        "object_score": scores[0],
        "predicted_iou": scores[1],
        "silent": clip.log_mel[kept].flatten(1).amax(1) < SILENT,
    }
    masks = threshold_masks(logits, protocol.threshold)
    row: dict[str, Any] = {
        "id": clip.sample.id,
        "clip": clip.sample.clip,
        "kind": clip.sample.kind,
        "null": clip.sample.null,
        "frames": {name: columns[name].tolist() for name in COLUMNS},
        "neighbours": _neighbours(masks, labels, kept),
    }
    if curve is not None:
        row["curve"] = curve.tolist()
    if clip.classes is not None:
        row["classes"] = _classes(masks, clip.classes[kept].to(device))
    return row


def score_maps(
    logits: torch.Tensor, labels: torch.Tensor, protocol: ScoringProtocol
) -> tuple[dict[str, torch.Tensor], torch.Tensor | None]:
    """What maps alone tell.

    Args:
        logits: (N, H, W).
        labels: (N, H, W) bool.
        protocol: threshold, and whether frames are joined in calls.

    Returns:
        `truth`, `area`, `j`, `iou`, `f`, `boundary` and `lit` of `score_clip`, each (N,); and the `curve`, (255,)
        float64, or None.
    """
    probabilities = torch.sigmoid(logits.float())
    masks = logits > 0 if protocol.threshold is None else probabilities > protocol.threshold
    counts = PixelCounts.of(masks, labels)
    columns = {
        "truth": counts.there / counts.pixels,
        "area": counts.found / counts.pixels,
        "j": jaccard(counts),
        "iou": iou(counts),
        "f": f_at(counts),
        "boundary": boundary_f(masks, labels),
        "lit": count_pixels(probabilities > 0.5) / counts.pixels,
    }
    if protocol.call is None:
        return columns, None
    there = counts.there > 0
    return columns, f_curves(probabilities[there], labels[there]).double().sum(0)


def assign_oracle_classes(masks: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Class maps of masks without classes: what a perfect namer would make of them.

    A pixel of the object takes its true class. One beside the object takes the class that fills most of the frame's
    object, else of the clip's, else class 1: so it is always wrong.

    Args:
        masks: (N, H, W) bool.
        classes: (N, H, W) uint8, 255 for pixels to ignore.

    Returns:
        (N, H, W) uint8.
    """
    target = (classes > 0) & (classes != IGNORED)
    frames = [_most(frame[there]) for frame, there in zip(classes, target, strict=True)]
    clip = _most(classes[target]) or 1
    beside = classes.new_tensor([found or clip for found in frames])[:, None, None]
    return torch.where(masks, torch.where(target, classes, beside), 0)


def _most(classes: torch.Tensor) -> int:
    """The most frequent class, the lowest of several; 0 where there is no pixel."""
    return int(classes.long().bincount().argmax()) if len(classes) else 0


def _classes(masks: torch.Tensor, classes: torch.Tensor) -> dict[str, list[Any]]:
    sums = semantic_sums(assign_oracle_classes(masks, classes), classes, ignored=IGNORED)
    met = sums.count.nonzero()[:, 0]
    return {
        "names": met.tolist(),
        "iou": sums.iou[met].tolist(),
        "f": sums.f[met].tolist(),
        "count": sums.count[met].tolist(),
    }


def _neighbours(masks: torch.Tensor, labels: torch.Tensor, kept: torch.Tensor) -> dict[str, float]:
    after = kept.diff() == 1
    pairs = after.nonzero()[:, 0].to(masks.device)
    return {
        "pairs": len(pairs),
        "masks": _meeting(masks, pairs),
        "labels": _meeting(labels, pairs),
    }


def _meeting(maps: torch.Tensor, pairs: torch.Tensor) -> float:
    """Sum of the IoU of each map with the next one."""
    return float(iou(PixelCounts.of(maps[pairs], maps[pairs + 1])).sum()) if len(pairs) else 0.0
