"""Scores of one sample: a row of plain numbers from which `aggregate` computes the scores of the data set."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from auralsam2.data.class_names import AVSS, CLASS_NAMES
from auralsam2.data.sample import LoadedClip
from auralsam2.evaluation.metrics import (
    PixelCounts,
    boundary_f,
    count_pixels,
    f_at,
    f_curves,
    iou,
    jaccard,
    mask_iou,
    threshold_masks,
)
from auralsam2.evaluation.options import ScoringProtocol
from auralsam2.evaluation.predictor import Prediction
from auralsam2.evaluation.semantic import semantic_sums
from auralsam2.inference.tracker import full_size
from auralsam2.modeling.log_mel import OFFSET

SILENT = math.log(2 * OFFSET)
"""A second is silent if no value of its log-mel example exceeds this: the energy stays below the offset."""
IGNORED = 255
COLUMNS = ("t", "truth", "area", "j", "iou", "f", "boundary", "lit", "object_score", "predicted_iou", "silent")


def score_clip(prediction: Prediction, clip: LoadedClip, protocol: ScoringProtocol) -> dict[str, Any]:
    """Score the supervised frames of a sample.

    Args:
        prediction: of all T frames.
        clip: with labels of the protocol's size.
        protocol: size and threshold of the maps.

    Returns:
        `id`, `clip`, `kind` and `null` of the sample, and
        `frames`: columns with one value per supervised frame: its index `t`; the shares of the map in the target
            (`truth`), in the mask (`area`) and with a probability above 0.5 (`lit`); J as published (`j`); intersection
            over union, 1 for two empty maps (`iou`); F of the mask (`f`); boundary F (`boundary`); the model's
            `object_score` and `predicted_iou`; and whether its second of audio is silent (`silent`);
        `neighbours`: number of `pairs` of neighbouring supervised frames, and the sums over them of the IoU of the two
            masks (`masks`) and of the two labels (`labels`);
        `curve`: for a protocol that joins frames in calls, the sum over the frames with a target of F at 255
            thresholds;
        `classes`: for labels with classes, `iou`, `f` and `count` of each predicted or true class, and whether it is
            in a label (`true`), in the order of `names`; and `named`, whether a namer predicted the classes. Otherwise
            they are those of `assign_oracle_classes`.

    Raises:
        ValueError: a logit or score is not a finite number.
    """
    supervised = clip.supervised.nonzero()[:, 0]
    device = prediction.logits.device
    logits = full_size(prediction.logits[None, supervised.to(device)], protocol.size)[0]
    for place, t in enumerate(supervised.tolist()):
        if t in prediction.given:
            logits[place] = prediction.frame_logits(t, (protocol.size, protocol.size))
    scores = torch.stack([prediction.object_scores, prediction.ious])[:, supervised].double()
    if not (prediction.logits.isfinite().all() and scores.isfinite().all()):
        raise ValueError("the model's masks hold values that are not finite numbers; try `dtype=fp32`")
    labels = clip.labels[supervised].to(device)
    columns, curve = score_maps(logits, labels, protocol)
    columns |= {
        "t": supervised,
        "object_score": scores[0],
        "predicted_iou": scores[1],
        "silent": clip.log_mel[supervised].flatten(1).amax(1) < SILENT,
    }
    masks = threshold_masks(logits, protocol.threshold)
    row: dict[str, Any] = {
        "id": clip.sample.id,
        "clip": clip.sample.clip,
        "kind": clip.sample.kind,
        "null": clip.sample.null,
        "frames": {name: columns[name].tolist() for name in COLUMNS},
        "neighbours": _neighbours(masks, labels, supervised),
    }
    if curve is not None:
        row["curve"] = curve.tolist()
    if clip.classes is not None:
        labels = clip.classes[supervised].to(device)
        row["named"] = prediction.classes is not None
        if prediction.classes is None:
            predicted = assign_oracle_classes(masks, labels)
        else:
            predicted = _resize_classes(prediction.classes[supervised.to(prediction.classes.device)], protocol.size)
        names = CLASS_NAMES.get(clip.sample.dataset, AVSS)
        row["classes"] = _classes(predicted.to(device), labels, len(names))
    return row


def score_maps(
    logits: torch.Tensor, labels: torch.Tensor, protocol: ScoringProtocol
) -> tuple[dict[str, torch.Tensor], torch.Tensor | None]:
    """Score maps.

    Args:
        logits: (N, H, W).
        labels: (N, H, W) bool.
        protocol: threshold, and whether it joins frames in calls.

    Returns:
        `truth`, `area`, `j`, `iou`, `f`, `boundary` and `lit` of `score_clip`, each (N,); and the `curve`, (255,)
        float64, or None.
    """
    probabilities = torch.sigmoid(logits.float())
    masks = logits > 0 if protocol.threshold is None else probabilities > protocol.threshold
    counts = PixelCounts.of(masks, labels)
    columns = {
        "truth": counts.target / counts.pixels,
        "area": counts.predicted / counts.pixels,
        "j": jaccard(counts),
        "iou": iou(counts.both, counts.either),
        "f": f_at(counts),
        "boundary": boundary_f(masks, labels),
        "lit": count_pixels(probabilities > 0.5) / counts.pixels,
    }
    if protocol.call is None:
        return columns, None
    present = counts.target > 0
    return columns, f_curves(probabilities[present], labels[present]).double().sum(0)


def assign_oracle_classes(masks: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Assign classes to masks without classes, as a perfect classifier would.

    A pixel of the target takes its true class. Any other pixel takes the most frequent class of the frame's target,
    else of the clip's, else class 1, and is always wrong.

    Args:
        masks: (N, H, W) bool.
        classes: (N, H, W) uint8, 255 for pixels to ignore.

    Returns:
        (N, H, W) uint8.
    """
    target = (classes > 0) & (classes != IGNORED)
    frames = [_most_frequent(frame[mask]) for frame, mask in zip(classes, target, strict=True)]
    clip = _most_frequent(classes[target]) or 1
    background = classes.new_tensor([frame or clip for frame in frames])[:, None, None]
    return torch.where(masks, torch.where(target, classes, background), 0)


def _most_frequent(classes: torch.Tensor) -> int:
    """Return the most frequent class, the lowest of several; 0 without a pixel."""
    return int(classes.long().bincount().argmax()) if len(classes) else 0


def _resize_classes(classes: torch.Tensor, size: int) -> torch.Tensor:
    """Resize label maps (N, h, w) by nearest neighbour."""
    return F.interpolate(classes[:, None].float(), (size, size), mode="nearest-exact")[:, 0].to(torch.uint8)


def _classes(predicted: torch.Tensor, classes: torch.Tensor, number: int) -> dict[str, list[Any]]:
    sums = semantic_sums(predicted, classes, number, IGNORED)
    seen = sums.count.nonzero()[:, 0]
    true = classes.unique().tolist()
    return {
        "names": seen.tolist(),
        "iou": sums.iou[seen].tolist(),
        "f": sums.f[seen].tolist(),
        "count": sums.count[seen].tolist(),
        "true": [name in true for name in seen.tolist()],
    }


def _neighbours(masks: torch.Tensor, labels: torch.Tensor, frames: torch.Tensor) -> dict[str, float]:
    pairs = (frames.diff() == 1).nonzero()[:, 0].to(masks.device)
    return {
        "pairs": len(pairs),
        "masks": _iou_sum(masks, pairs),
        "labels": _iou_sum(labels, pairs),
    }


def _iou_sum(maps: torch.Tensor, pairs: torch.Tensor) -> float:
    """Sum the IoU of each map and its successor."""
    return float(mask_iou(maps[pairs], maps[pairs + 1]).sum())
