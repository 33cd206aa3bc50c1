"""Statistics of StampAVS that need the masks of all objects: guesses without audio, and properties of saved masks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from auralsam2.evaluation.metrics import mask_iou

Terms = dict[str, tuple[float, int]]
"""Sum and count by name."""
GUESSES = ("all objects", "largest object", "nothing", "random object")


def read_mask(path: Path) -> np.ndarray:
    """Read a mask, (S, S) bool."""
    return np.asarray(Image.open(path)) > 0


def read_masks(folder: Path) -> np.ndarray:
    """Read the masks of a folder, (T, S, S) bool."""
    return np.stack([read_mask(path) for path in sorted(folder.glob("*.png"))])


def read_objects(clip: Path) -> np.ndarray:
    """Read the masks of all objects of a clip, (n, T, S, S) bool, from the back to the front."""
    folders = sorted(clip.glob("fid_*"), key=lambda folder: int(folder.name.removeprefix("fid_")))
    return np.stack([read_masks(folder) for folder in folders if folder.name != "fid_0"])


def guess_scores(target: np.ndarray, objects: np.ndarray) -> list[tuple[float, float, float, float]]:
    """Compute J of each of `GUESSES` in each frame with a target.

    Args:
        target: (T, S, S) bool, the sounding objects.
        objects: (n, T, S, S) bool.

    Returns:
        one entry per frame with a target; the score of a random object is its expected value.
    """
    scores = []
    for frame in np.flatnonzero(target.any(axis=(1, 2))):
        masks = objects[:, frame]
        single = [float(mask_iou(mask, target[frame])) for mask in masks]
        largest = int(masks.sum(axis=(1, 2)).argmax())
        union = float(mask_iou(masks.any(axis=0), target[frame]))
        scores.append((union, single[largest], 0.0, float(np.mean(single))))
    return scores


def clip_terms(truth: Path, masks: Path) -> Terms:
    """Compute the terms of one clip.

    Args:
        truth: folder of the clip in `gt_mask`.
        masks: folder of the clip's masks, written by `evaluate`.

    Returns:
        `all objects`, `random object` and `filled boxes`: J with target of guesses with the exact masks of all objects,
            or with the boxes of the sounding objects;
        `picked`: number of frames with a target whose mask overlaps most with a sounding object; an empty mask
            overlaps with none;
        `steady` and `steady truth`: IoU of the masks and of the labels of neighbouring frames in which the same objects
            sound, unless both masks are empty.
    """
    target, objects = read_masks(truth / "sounding"), read_objects(truth)
    sounding = (objects & target).any(axis=(2, 3))
    target_frames = np.flatnonzero(target.any(axis=(1, 2)))
    guesses = guess_scores(target, objects)
    predicted = np.stack([read_mask(masks / f"{t}.png") for t in range(len(target))])
    overlaps = [[_iou(mask, predicted[t]) for mask in objects[:, t]] for t in target_frames]
    picked = [
        bool(max(row) > 0 and sounding[int(np.argmax(row)), t]) for row, t in zip(overlaps, target_frames, strict=True)
    ]
    pairs = [
        t
        for t in range(len(target) - 1)
        if sounding[:, t].any()
        and (sounding[:, t] == sounding[:, t + 1]).all()
        and (predicted[t] | predicted[t + 1]).any()
    ]
    return {
        "all objects": _sum(score[0] for score in guesses),
        "random object": _sum(score[3] for score in guesses),
        "filled boxes": _sum(_iou(_fill_boxes(objects[sounding[:, t], t]), target[t]) for t in target_frames),
        "picked": _sum(map(float, picked)),
        "steady": _sum(_iou(predicted[t], predicted[t + 1]) for t in pairs),
        "steady truth": _sum(_iou(target[t], target[t + 1]) for t in pairs),
    }


def _fill_boxes(objects: np.ndarray) -> np.ndarray:
    """Fill the bounding boxes of masks (n, H, W): (H, W)."""
    filled = np.zeros(objects.shape[1:], dtype=bool)
    for mask in objects:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        filled[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return filled


def _iou(mask: np.ndarray, other: np.ndarray) -> float:
    """Compute the intersection over union; 0 for two empty masks."""
    return float(mask_iou(mask, other)) if (mask | other).any() else 0.0


def _sum(values: Iterable[float]) -> tuple[float, int]:
    terms = list(values)
    return float(sum(terms)), len(terms)
