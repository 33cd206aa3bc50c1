"""What leaves the tracker: the result type, made from logits on the model's square, and notes for the user."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from auralsam2.types import Segmentation

NOTHING = -10.0
"""Logit and object score of a frame for which nobody asked anything; what SAM 2 writes for an empty mask."""
SILENT = "the sound track is silent"
SILENT_SO_FAR = "nothing was audible where the sound track was heard"


def segmentation(
    index: int,
    time: float,
    image: np.ndarray,
    logits: torch.Tensor,
    *,
    iou: float,
    object_score: float,
    audible: bool,
    number: int = 0,
) -> Segmentation:
    """The mask of one object on one frame, at the size of the source.

    Args:
        index: of the frame.
        time: of its picture, in seconds.
        image: (H, W, 3) uint8, the picture.
        logits: (S, S) float32 on the CPU.
        iou: predicted IoU of the mask.
        object_score: logit of "the object is in the frame".
        audible: whether something sounds, or nobody listens.
        number: of the object.
    """
    mask = logits > 0
    if image.shape[:2] != mask.shape:
        mask = F.interpolate(logits[None, None], image.shape[:2], mode="bilinear", align_corners=False)[0, 0] > 0
    return Segmentation(
        index=index,
        time=time,
        mask=mask.numpy(),
        logits=logits.numpy(),
        iou=iou,
        object_score=object_score,
        sounding=object_score > 0 and bool(mask.any()) and audible,
        image=image,
        object=number,
    )


def damage_notes(video: Sequence[float], sound: Sequence[float]) -> list[str]:
    """A line for each stream that is damaged.

    Args:
        video: seconds of damage in the pictures.
        sound: the same in the sound.
    """
    return [
        f"{what} damaged at {', '.join(f'{time:.1f}' for time in times[:8])} s"
        for what, times in (("video", video), ("sound", sound))
        if times
    ]
