"""Segmentations as `Detections` of the library supervision, which is an optional dependency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from auralsam2.errors import UsageError
from auralsam2.types import Segmentation

if TYPE_CHECKING:
    from supervision import Detections


def to_supervision(
    segmentations: Segmentation | Iterable[Segmentation], names: Mapping[int, str] | None = None
) -> Detections:
    """Convert the segmentations of one frame to `supervision.Detections`.

    `tracker_id` is the number of the object, `confidence` the predicted IoU, and `class_id` the position of the name
    among the different names. Objects with an empty mask are omitted.

    Args:
        segmentations: one or several objects of one frame.
        names: names of the objects by number, for `class_name`; None for "object".

    Returns:
        the detections, with `mask` (N, H, W) bool.

    Raises:
        UsageError: supervision is not installed.
        KeyError: an object has no name.
    """
    try:
        from supervision import Detections
    except ImportError as error:
        raise UsageError("supervision is not installed; run: pip install supervision") from error
    every = [segmentations] if isinstance(segmentations, Segmentation) else list(segmentations)
    shown = [segmentation for segmentation in every if segmentation.mask.any()]
    if not shown:
        return Detections.empty()
    labels = [names[segmentation.object_id] if names else "object" for segmentation in shown]
    classes = list(dict.fromkeys(names.values() if names else labels))
    return Detections(
        xyxy=np.array([_box(segmentation.mask) for segmentation in shown], np.float64),
        mask=np.stack([segmentation.mask for segmentation in shown]),
        confidence=np.array([segmentation.iou for segmentation in shown], np.float64),
        class_id=np.array([classes.index(label) for label in labels]),
        tracker_id=np.array([segmentation.object_id for segmentation in shown]),
        data={"class_name": np.array(labels)},
    )


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return the first and last column and row: x0, y0, x1, y1."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
