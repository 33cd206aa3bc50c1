"""From logits on the model's square to the result type that leaves the tracker."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from auralsam2.types import Segmentation


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
