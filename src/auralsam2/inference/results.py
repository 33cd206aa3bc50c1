"""The masks on display: the last one given out of each frame, in the course of what was said of an object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from auralsam2.errors import UsageError
from auralsam2.inference.feature_cache import FeatureCache
from auralsam2.inference.feature_prompts import FeaturePromptProvider
from auralsam2.inference.frame_store import FrameStore
from auralsam2.inference.object_state import MaskPrediction, ObjectState
from auralsam2.modeling.network import AuralNetwork
from auralsam2.types import Segmentation

NOTHING = -10.0
"""Logit and object score of a frame for which nobody asked anything; what SAM 2 writes for an empty mask."""
SILENT = "the sound track is silent"
SILENT_SO_FAR = "nothing was audible where the sound track was heard"


def make_segmentation(
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
        object_id=number,
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


_STRIDE = 4
"""Pixels of the model's square for each pixel of a mask."""


class LatestMasks:
    """Gives masks out, and knows which ones.

    Args:
        network: tells the size of its square.
        frames: the frames.
        feature_prompts: know whether something is audible.
        cache: owned by the caller; holds what is on display.
    """

    def __init__(
        self, network: AuralNetwork, frames: FrameStore, feature_prompts: FeaturePromptProvider, cache: FeatureCache
    ) -> None:
        self._size = network.image_size
        self._frames, self._feature_prompts, self._cache = frames, feature_prompts, cache

    def show(self, state: ObjectState, index: int, found: MaskPrediction) -> Segmentation:
        """Make a mask the newest of its frame, and return it at the size of the video.

        Raises:
            UsageError: the mask has another size than those of the decoder.
        """
        if found.low.shape != (self._size // _STRIDE, self._size // _STRIDE):
            raise UsageError(
                f"a mask of {tuple(found.low.shape)}: this model's masks have {self._size // _STRIDE} rows and columns"
            )
        self.put(state, index, found)
        return make_segmentation(
            index,
            self._frames.time(index),
            self._frames.picture(index),
            found.logits(self._size).cpu(),
            iou=found.iou,
            object_score=found.object_score,
            audible=self._feature_prompts.audible(state.condition, index),
            number=state.number,
        )

    def put(self, state: ObjectState, index: int, found: MaskPrediction) -> None:
        """Put a mask on display, as the latest of its frame."""
        scores = torch.tensor([found.iou, found.object_score], dtype=torch.float64)
        self._cache.put(("display", state.number, state.versions[0], index), {"low": found.low, "scores": scores})

    def shown(self, state: ObjectState, index: int) -> MaskPrediction | None:
        """The newest mask that was given out of a frame of an object; None without one."""
        for version in state.versions:
            kept = self._cache.get(("display", state.number, version, index))
            if kept is not None:
                iou, object_score = kept["scores"].tolist()
                return MaskPrediction(kept["low"], iou, object_score)
        return None
