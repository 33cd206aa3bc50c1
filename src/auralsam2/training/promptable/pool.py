"""The frozen backbone's maps of the last so many training clips, on disk.

The backbone never learns, so its maps are made once a clip and read many times. The pool grows with the steps: new
clips take the place of the oldest, and which clips it holds at a step depends on the number of the step alone. A run
that was killed finds the pool as it was; what is missing, or was being written, is made again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import Sam2VideoModel

from auralsam2.errors import OutputError
from auralsam2.training.promptable.model import BACKBONE, CHANNELS, backbone_maps
from auralsam2.training.promptable.scenes import Scenes
from auralsam2.vision.preprocess import normalise

CHUNK = 8
"""Clips that go through the backbone together: always the same ones, so that the maps are the same to the last bit."""
_EMPTY = -1
_STRIDES = (4, 8, 16, 32)
MOST_OBJECTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """N clips of T frames.

    Attributes:
        maps: (N, T, C, H, W) float32 at strides 4, 8, 16, 32.
        owners: (N, T, S, S) uint8.
        kinds: (N, 8) int16, what each object is; -1 where there are fewer.
    """

    maps: tuple[torch.Tensor, ...]
    owners: np.ndarray
    kinds: np.ndarray


class Pool:
    """The maps of up to `slots` clips.

    Args:
        folder: of its own; created where missing. A pool of other weights, sizes or scenes there is overwritten.
        model: its backbone makes the maps.
        scenes: where clips come from.
        slots: clips it holds at most, a multiple of 8.
        first: clips it holds at step 0, a multiple of 8.
        every: steps after which 8 new clips come.
    """

    def __init__(
        self, folder: Path, model: Sam2VideoModel, scenes: Scenes, *, slots: int, first: int, every: int
    ) -> None:
        self.model, self.scenes, self.slots, self.first, self.every = model, scenes, slots, first, every
        side, frames = scenes.size, scenes.frames
        shapes = [
            (slots, frames, channels, side // stride, side // stride)
            for channels, stride in zip(reversed(CHANNELS), _STRIDES, strict=True)
        ]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            key, label = _key(model, scenes, slots), folder / "key.txt"
            fresh = not label.is_file() or label.read_text(encoding="utf-8") != key
            mode = "w+" if fresh else "r+"
            if fresh:
                label.unlink(missing_ok=True)
            self._numbers = np.memmap(folder / "numbers.bin", np.int64, mode, shape=(slots,))
            self._owners = np.memmap(folder / "owners.bin", np.uint8, mode, shape=(slots, frames, side, side))
            self._kinds = np.memmap(folder / "kinds.bin", np.int16, mode, shape=(slots, MOST_OBJECTS))
            self._maps = [
                np.memmap(folder / f"stride{stride}.bin", np.float16, mode, shape=shape)
                for stride, shape in zip(_STRIDES, shapes, strict=True)
            ]
            if fresh:
                self._numbers[:] = _EMPTY
                label.write_text(key, encoding="utf-8")
        except (OSError, ValueError) as error:
            raise OutputError(f"{folder}: no room for the pool ({error}): remove it or name another folder") from error

    def drawn(self, step: int) -> int:
        """How many clips have been drawn by a step."""
        return self.first + step // self.every * CHUNK

    def bring_to(self, step: int) -> None:
        """Make what the pool has to hold at a step and does not."""
        drawn = self.drawn(step)
        for start in range(max(0, drawn - self.slots), drawn, CHUNK):
            numbers = np.arange(start, start + CHUNK)
            if not np.array_equal(self._numbers[numbers % self.slots], numbers):
                self._make(numbers)

    def sample(self, step: int, count: int, rng: np.random.Generator) -> Batch:
        """Draw different clips from those it holds at a step; call `bring_to` before."""
        drawn = self.drawn(step)
        held = min(drawn, self.slots)
        places = (drawn - held + rng.choice(held, count, replace=False)) % self.slots
        return Batch(
            maps=tuple(torch.from_numpy(level[places].astype(np.float32)) for level in self._maps),
            owners=self._owners[places],
            kinds=self._kinds[places],
        )

    def _make(self, numbers: np.ndarray) -> None:
        clips = [self.scenes[int(number)] for number in numbers]
        frames = torch.from_numpy(np.concatenate([clip.frames for clip in clips])).permute(0, 3, 1, 2)
        maps = backbone_maps(self.model, normalise(frames))
        places = numbers % self.slots
        self._numbers[places] = _EMPTY  # until all is written
        self._owners[places] = np.stack([clip.owners for clip in clips])
        for place, clip in zip(places, clips, strict=True):
            self._kinds[place] = -1
            self._kinds[place, : len(clip.kinds)] = clip.kinds
        for level, made in zip(self._maps, maps, strict=True):
            level[places] = made.half().unflatten(0, (len(clips), -1)).numpy()
        self._numbers[places] = numbers


def _key(model: Sam2VideoModel, scenes: Scenes, slots: int) -> str:
    """What the maps depend on, as text."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        if name.startswith(BACKBONE):
            digest.update(value.numpy().tobytes())
    pictures = [p.key for c in scenes.pool.targets for p in c.pictures] + [p.key for p in scenes.pool.silent]
    about = [scenes.part, scenes.size, scenes.frames, scenes.seed, slots, pictures, digest.hexdigest()]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()
