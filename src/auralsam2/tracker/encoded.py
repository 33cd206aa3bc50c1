"""The frames on their way: what the encoder made of each, kept in the spool until the mask is given out."""

from __future__ import annotations

from types import TracebackType

import numpy as np
import torch

from auralsam2.tracker.spool import DEFAULT_LIMIT, Spool, Tensors
from auralsam2.types import FeaturePrompts, Frame
from auralsam2.vision.pyramid import FrameFeatures

LEVELS = range(3)


class EncodedFrames:
    """Features, feature prompts and pictures by frame index; a context manager that drops everything at its end.

    Args:
        limit: bytes to keep in memory; what goes beyond lies in a temporary file.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._spool = Spool(limit)
        self._times: dict[int, float] = {}

    def __enter__(self) -> EncodedFrames:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()

    def __len__(self) -> int:
        """Frames held."""
        return len(self._times)

    def add(self, frame: Frame, features: FrameFeatures) -> None:
        """Keep an encoded frame."""
        self._spool.put(("features", frame.index), pack_features(features))
        self._spool.put(("picture", frame.index), {"image": torch.from_numpy(frame.image)})
        self._times[frame.index] = frame.time

    def add_prompts(self, index: int, prompts: FeaturePrompts) -> None:
        """Keep the feature prompts of one frame (T = 1)."""
        self._spool.put(("prompts", index), pack_prompts(prompts))

    def time(self, index: int) -> float:
        """Presentation time of a frame, in seconds."""
        return self._times[index]

    def features(self, index: int) -> FrameFeatures:
        """What the encoder made of a frame."""
        return unpack_features(self._spool.get(("features", index)))

    def take_prompts(self, index: int) -> FeaturePrompts:
        """The feature prompts of a frame, which are dropped."""
        tensors = self._spool.get(("prompts", index))
        self._spool.drop(("prompts", index))
        return unpack_prompts(tensors)

    def take_picture(self, index: int) -> np.ndarray:
        """The picture of a frame, (H, W, 3) uint8, which is dropped."""
        image = self._spool.get(("picture", index))["image"].numpy()
        self._spool.drop(("picture", index))
        return image

    def forget_before(self, index: int) -> None:
        """Drop all frames of lower index."""
        for old in [kept for kept in self._times if kept < index]:
            for kind in ("features", "prompts", "picture"):
                self._spool.drop((kind, old))
            del self._times[old]


def pack_features(features: FrameFeatures) -> dict[str, torch.Tensor]:
    """The features of a frame by name, as a spool keeps them."""
    tensors = {"embedding": features.embedding, "fine": features.fine, "middle": features.middle}
    return tensors | {f"patch{level}": patch for level, patch in enumerate(features.patches)}


def unpack_features(tensors: Tensors) -> FrameFeatures:
    """The inverse of `pack_features`."""
    patches = tuple(tensors[f"patch{level}"] for level in LEVELS if f"patch{level}" in tensors)
    return FrameFeatures(tensors["embedding"], tensors["fine"], tensors["middle"], patches)


def pack_prompts(prompts: FeaturePrompts) -> dict[str, torch.Tensor]:
    """The feature prompts of a frame by name, as a spool keeps them."""
    visual = {f"visual{level}": prompt for level, prompt in enumerate(prompts.visual_prompts)}
    audio = {f"audio{level}": prompt for level, prompt in enumerate(prompts.audio_prompts)}
    single = {"drawn": prompts.drawn, "bound": prompts.bound}
    return visual | audio | {name: tensor for name, tensor in single.items() if tensor is not None}


def unpack_prompts(tensors: Tensors) -> FeaturePrompts:
    """The inverse of `pack_prompts`."""
    levels = [level for level in LEVELS if f"visual{level}" in tensors]
    return FeaturePrompts(
        tuple(tensors[f"visual{level}"] for level in levels),
        tuple(tensors[f"audio{level}"] for level in levels),
        tensors.get("drawn"),
        bound=tensors.get("bound"),
    )
