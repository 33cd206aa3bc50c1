"""Encoded frames: the features, prompts and pictures of the frames of a window, kept until the masks are found."""

from __future__ import annotations

from collections import Counter
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
        # A picture is known by its presentation time: different pictures of a video have different ones.
        self._shown: Counter[float] = Counter()  # number of frames that show it
        self._pictures: set[float] = set()

    def __enter__(self) -> EncodedFrames:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()

    def __len__(self) -> int:
        """Frames held."""
        return len(self._times)

    def add(self, frame: Frame, features: FrameFeatures | None) -> None:
        """Keep an encoded frame.

        Args:
            frame: in the order of time.
            features: of its picture; None where the frame before shows the same picture, whose features serve both.
        """
        time = frame.time
        if features is not None:
            self._spool.put(("features", time), pack_features(features))
        if time not in self._pictures:
            self._spool.put(("picture", time), {"image": torch.from_numpy(frame.image)})
            self._pictures.add(time)
        self._times[frame.index] = time
        self._shown[time] += 1

    def add_prompts(self, index: int, prompts: FeaturePrompts) -> None:
        """Keep the feature prompts of one frame (T = 1)."""
        self._spool.put(("prompts", index), pack_prompts(prompts))

    def time(self, index: int) -> float:
        """Presentation time of a frame, in seconds."""
        return self._times[index]

    def features(self, index: int) -> FrameFeatures:
        """Features of a frame."""
        return unpack_features(self._spool.get(("features", self._times[index])))

    def take_prompts(self, index: int) -> FeaturePrompts:
        """Feature prompts of a frame; drops them."""
        tensors = self._spool.get(("prompts", index))
        self._spool.drop(("prompts", index))
        return unpack_prompts(tensors)

    def take_picture(self, index: int) -> np.ndarray:
        """Picture of a frame, (H, W, 3) uint8; drops it unless the next frame shows it too."""
        time = self._times[index]
        image = self._spool.get(("picture", time))["image"].numpy()
        if self._times.get(index + 1) != time:
            self._drop_picture(time)
        return image

    def forget_before(self, index: int) -> None:
        """Drop all frames of lower index; a picture stays while a frame that shows it is held."""
        for old in [kept for kept in self._times if kept < index]:
            self._spool.drop(("prompts", old))
            time = self._times.pop(old)
            self._shown[time] -= 1
            if not self._shown[time]:
                del self._shown[time]
                self._spool.drop(("features", time))
                self._drop_picture(time)

    def _drop_picture(self, time: float) -> None:
        self._spool.drop(("picture", time))
        self._pictures.discard(time)


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
