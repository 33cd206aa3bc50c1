"""Statistics of saved StampAVS masks that need the masks of all objects."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

import stampavs_blind
from auralsam2.evaluation.metrics import mask_iou

Terms = dict[str, tuple[float, int]]
"""Sum and count by name."""


def clip_terms(truth: Path, masks: Path | None) -> Terms:
    """Compute the terms of one clip.

    Args:
        truth: its folder under `gt_mask`.
        masks: the folder in which `evaluate` put the masks of the clip; None for the bounds alone.

    Returns:
        `all objects`, `random object` and `filled boxes`: J with target of guesses that know the exact outlines of all
            objects, or the boxes of those that sound;
        `picked`: of the frames with a target, how many masks overlap most with an object that sounds; an empty mask
            picks nothing;
        `steady` and `steady truth`: IoU of neighbouring frames' masks, and of their labels, where the same objects
            sound in both frames and one of the two masks is not empty.
    """
    target = stampavs_blind.read(truth / "sounding")
    folders = sorted(truth.glob("fid_*"), key=lambda folder: int(folder.name.removeprefix("fid_")))
    objects = np.stack([stampavs_blind.read(folder) for folder in folders if folder.name != "fid_0"])
    sounding = (objects & target).any(axis=(2, 3))
    there = np.flatnonzero(target.any(axis=(1, 2)))
    blind = stampavs_blind.scores(truth)
    terms = {
        "all objects": _sum(score[0] for score in blind),
        "random object": _sum(score[3] for score in blind),
        "filled boxes": _sum(_iou(_boxes(objects[sounding[:, t], t]), target[t]) for t in there),
    }
    if masks is None:
        return terms
    found = np.stack([_read(masks / f"{t}.png") for t in range(len(target))])
    picks = [[_iou(mask, found[t]) for mask in objects[:, t]] for t in there]
    right = [bool(max(row) > 0 and sounding[int(np.argmax(row)), t]) for row, t in zip(picks, there, strict=True)]
    pairs = [
        t
        for t in range(len(target) - 1)
        if sounding[:, t].any() and (sounding[:, t] == sounding[:, t + 1]).all() and (found[t] | found[t + 1]).any()
    ]
    return terms | {
        "picked": _sum(map(float, right)),
        "steady": _sum(_iou(found[t], found[t + 1]) for t in pairs),
        "steady truth": _sum(_iou(target[t], target[t + 1]) for t in pairs),
    }


def _boxes(objects: np.ndarray) -> np.ndarray:
    """Fill the bounding boxes of masks (n, H, W): (H, W)."""
    filled = np.zeros(objects.shape[1:], dtype=bool)
    for mask in objects:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        filled[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return filled


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    """Compute the intersection over union; 0 for two empty masks."""
    return float(mask_iou(one, other)) if (one | other).any() else 0.0


def _read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)) > 0


def _sum(values: Iterable[float]) -> tuple[float, int]:
    listed = list(values)
    return float(sum(listed)), len(listed)
