"""Results of a session: segmentations at the size of the video, and the latest mask of each object and frame."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from auralsam2.errors import UsageError
from auralsam2.inference.feature_cache import FeatureCache
from auralsam2.inference.feature_prompts import FeaturePromptProvider
from auralsam2.inference.frame_store import FrameStore
from auralsam2.inference.object_state import MaskPrediction, ObjectState
from auralsam2.modeling.network import AuralNetwork
from auralsam2.types import Frame, Segmentation

NOTHING = -10.0
"""Logit and object score of a frame without prompts, as SAM 2 writes them for an empty mask."""
SILENT = "the sound track is silent"
SILENT_SO_FAR = "nothing was audible where the sound track was heard"


def make_segmentation(
    frame: Frame,
    logits: torch.Tensor,
    *,
    iou: float,
    object_score: float,
    audible: bool,
    number: int = 0,
) -> Segmentation:
    """Return the mask of one object on one frame at the size of the video.

    Args:
        frame: with its image.
        logits: (S, S) float32 on the CPU, or (H, W) for a given mask.
        iou: predicted IoU of the mask.
        object_score: logit of "the object is in the frame".
        audible: true if the audio around the frame is audible, or no audio is used.
        number: of the object.
    """
    mask = logits > 0
    if frame.image.shape[:2] != mask.shape:
        mask = F.interpolate(logits[None, None], frame.image.shape[:2], mode="bilinear", align_corners=False)[0, 0] > 0
    return Segmentation(
        index=frame.index,
        time=frame.time,
        slot=frame.slot,
        mask=mask.numpy(),
        logits=logits.numpy(),
        iou=iou,
        object_score=object_score,
        sounding=object_score > 0 and bool(mask.any()) and audible,
        image=frame.image,
        object_id=number,
        source_index=frame.source_index,
        pts=frame.pts,
    )


def damage_notes(video: Sequence[float], audio: Sequence[float]) -> list[str]:
    """Return one line for each damaged stream.

    Args:
        video: times of damaged images, in seconds.
        audio: times of damaged audio, in seconds.
    """
    return [
        f"{stream} damaged at {', '.join(f'{time:.1f}' for time in times[:8])} s"
        for stream, times in (("video", video), ("sound", audio))
        if times
    ]


_STRIDE = 4
"""Stride of the predicted masks: pixels of the model's square for each of their pixels."""


class LatestMasks:
    """The latest mask of each object and frame, which further clicks correct.

    Args:
        network: gives the size of the masks.
        frames: provides times and images.
        feature_prompts: provides audibility.
        cache: owned by the caller; stores the masks.
    """

    def __init__(
        self, network: AuralNetwork, frames: FrameStore, feature_prompts: FeaturePromptProvider, cache: FeatureCache
    ) -> None:
        self._network, self._size = network, network.image_size
        self._frames, self._feature_prompts, self._cache = frames, feature_prompts, cache

    def in_cache(self, cache: FeatureCache) -> LatestMasks:
        """Return an empty store of the same video in another cache."""
        return LatestMasks(self._network, self._frames, self._feature_prompts, cache)

    def show(self, state: ObjectState, index: int, prediction: MaskPrediction) -> Segmentation:
        """Store the latest mask of an object on a frame, and return it at the size of the video.

        Raises:
            UsageError: the mask has another size than those of the model.
        """
        side = self._size // _STRIDE
        if prediction.low_res.shape != (side, side):
            shape = tuple(prediction.low_res.shape)
            raise UsageError(f"a mask of {shape}: this model's masks have {side} rows and columns")
        frame = state.conditioning_frames.get(index)
        if frame is None or frame.prediction is not prediction:  # the state has the mask of its last prompt
            self.put(state, index, prediction)
        return make_segmentation(
            self._frames.frame(index),
            prediction.logits(self._size).cpu(),
            iou=prediction.iou,
            object_score=prediction.object_score,
            audible=self._feature_prompts.audible(state.condition, index),
            number=state.number,
        )

    def put(self, state: ObjectState, index: int, prediction: MaskPrediction) -> None:
        """Store the latest mask of an object on a frame."""
        scores = torch.tensor([prediction.iou, prediction.object_score], dtype=torch.float64)
        tensors = {"low_res": prediction.low_res, "scores": scores}
        if prediction.given is not None:
            tensors["given"] = prediction.given
        self._cache.put(("mask", state.number, state.versions[0], index), tensors)

    def get(self, state: ObjectState, index: int) -> MaskPrediction | None:
        """Return the latest mask of an object on a frame; None without one."""
        frame = state.conditioning_frames.get(index)
        for version in state.versions[: 1 if frame else None]:
            cached = self._cache.get(("mask", state.number, version, index))
            if cached is not None:
                iou, object_score = cached["scores"].tolist()
                return MaskPrediction(cached["low_res"], iou, object_score, cached.get("given"))
        return frame.prediction if frame else None
