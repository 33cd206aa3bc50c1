"""The frozen backbone's maps of the last so many training clips, on disk.

The backbone never learns, so its maps are made once a clip and read many times. The pool grows with the steps: new
clips take the place of the oldest, and which clips it holds at a step depends on the number of the step alone. A run
that was killed finds the pool as it was; what is missing, or was being written, is made again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from transformers import Sam2VideoModel

from auralsam2.errors import OutputError
from auralsam2.modeling.preprocess import normalise
from auralsam2.modeling.prompt_encoder import NEGATIVE, PADDING, POSITIVE, PromptEmbeddings
from auralsam2.stampavs import splits
from auralsam2.stampavs.assets import AssetCollection, collect_assets
from auralsam2.stampavs.presets import HARD, STANDARD, DifficultyPreset
from auralsam2.stampavs.scene import draw_scene
from auralsam2.stampavs.splits import AssetPool, SplitAssets
from projects.mini.sam2_model import BACKBONE, CHANNELS, backbone_maps

CORNERS = (2, 3)
"""Labels of a box's corners; for the prompt encoder a box is two points of a kind of their own."""
SMALLEST = 30
"""Visible pixels from which an object is prompted."""
ABSENT = 255
"""Number of an object that is in no picture: what a prompt for nothing asks for."""
NOTHING = 0.15
"""Share of the masks that are empty, so that the decoder learns to say that nothing is there."""
JITTER = 0.08
"""Greatest error of a box's edge, in widths and heights of the box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnPrompts:
    """B prompts with as many tokens each.

    Attributes:
        frames: (B,) int, which frame each belongs to.
        objects: (B,) int, number of the object in its frame's owner map, from 1; `ABSENT` for none.
        points: (B, n, 2) float, x, y in pixels.
        labels: (B, n) int: 1, 0, -1 for none, 2 and 3 for the corners of a box.
        masks: (B, 1, S/4, S/4) float, ±10, or zeros.
        masked: (B,) bool, whether the mask is given.
    """

    frames: torch.Tensor
    objects: torch.Tensor
    points: torch.Tensor
    labels: torch.Tensor
    masks: torch.Tensor
    masked: torch.Tensor

    def embed(self, sam2: Sam2VideoModel) -> PromptEmbeddings:
        """Embed them: sparse (B, 1, n + 1, C), the last token "no more points", and dense (B, C, h, w)."""
        encoder = sam2.prompt_encoder
        sparse, without = encoder(self.points[:, None], self.labels[:, None], None, None)
        if not self.masked.any():
            return PromptEmbeddings(sparse, without)
        dense = torch.where(self.masked[:, None, None, None], encoder.mask_embed(self.masks), without)
        return PromptEmbeddings(sparse, dense)


def draw_prompts(owners: np.ndarray, count: int, kind: str, rng: np.random.Generator) -> DrawnPrompts | None:
    """Draw prompts for objects of each frame, different ones as far as there are.

    Args:
        owners: (N, S, S) uint8, which object shows at each pixel, 0 for none.
        count: prompts a frame.
        kind: "single": one click, or a mask in a quarter of all cases; "double": a box, or two clicks in three of ten.
        rng: draws everything.

    Returns:
        None if no object of any frame is large enough.
    """
    rows: list[tuple[int, int, np.ndarray, list[int], np.ndarray | None]] = []
    for frame, owner in enumerate(owners):
        numbers = np.flatnonzero(np.bincount(owner.ravel(), minlength=2)[1:] >= SMALLEST) + 1
        if len(numbers):
            order = rng.permutation(numbers)
            for place in range(count):
                number = int(order[place % len(order)])
                shape = owner == number
                points, labels, mask = (_single if kind == "single" else _double)(shape, rng)
                # The blunt brush can miss all of a thin object.
                if mask is not None and (rng.random() < NOTHING or not mask.any()):
                    number, mask = ABSENT, np.zeros_like(shape)
                rows.append((frame, number, points, labels, mask))
    if not rows:
        return None
    frames, objects, points, labels, masks = zip(*rows, strict=True)
    quarter = owners.shape[1] // 4
    given = torch.zeros(len(rows), 1, quarter, quarter)
    for place, mask in enumerate(masks):
        if mask is not None:
            soft = F.interpolate(torch.from_numpy(mask)[None, None].float(), size=(quarter, quarter), mode="area")
            given[place] = soft[0] * 20.0 - 10.0
    return DrawnPrompts(
        frames=torch.tensor(frames),
        objects=torch.tensor(objects),
        points=torch.from_numpy(np.stack(points)).float(),
        labels=torch.tensor(labels),
        masks=given,
        masked=torch.tensor([mask is not None for mask in masks]),
    )


def _single(shape: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[int], np.ndarray | None]:
    """One click, or a mask."""
    if rng.random() < 0.25:
        return np.zeros((1, 2)), [PADDING], _rough(shape, rng)
    return _inside(shape, rng)[None], [POSITIVE], None


def _double(shape: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[int], np.ndarray | None]:
    """A box, or two clicks of which the second may say where the object is not."""
    if rng.random() < 0.7:
        return _around(shape, rng), list(CORNERS), None
    second = bool(rng.random() < 0.5) or shape.all()
    other = _inside(shape if second else ~shape, rng)
    return np.stack([_inside(shape, rng), other]), [POSITIVE, POSITIVE if second else NEGATIVE], None


def _inside(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """x, y of a random pixel."""
    rows, columns = np.nonzero(shape)
    place = int(rng.integers(len(rows)))
    return np.array([columns[place], rows[place]], dtype=np.float64)


def box_of(shape: np.ndarray) -> np.ndarray:
    """Corners of a mask: x and y of the first and of the last pixel, (2, 2) float."""
    rows, columns = (np.flatnonzero(shape.any(axis)) for axis in (1, 0))
    return np.array([[columns[0], rows[0]], [columns[-1], rows[-1]]], dtype=np.float64)


def _around(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    corners = box_of(shape)
    sides = corners[1] - corners[0] + 1
    return np.clip(corners + rng.uniform(-JITTER, JITTER, (2, 2)) * sides, 0, len(shape) - 1)


def _rough(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The mask, in half of all cases drawn with a blunt brush of about S / 50 pixels."""
    if rng.random() < 0.5:
        return shape
    cells = len(shape) // 24 * 6
    coarse = F.interpolate(torch.from_numpy(shape)[None, None].float(), size=(cells, cells), mode="area")
    blunt = F.interpolate((coarse > rng.uniform(0.3, 0.7)).float(), size=shape.shape, mode="nearest")
    return blunt[0, 0].numpy() > 0.5


SceneSplit = Literal["train", "held-out"]

VARIED = replace(
    STANDARD,
    name="varied",
    backgrounds=(("plain", 0.3), ("gradient", 0.35), ("texture", 0.2), ("clutter", 0.15)),
    room=replace(STANDARD.room, turn=25, overlap=0.4, drift=0.35, outside=0.05),
    visible=0.5,
    silent=0.75,
    tone=0.2,
)
"""For training: most things are of the many that have no sound, and they stand on all kinds of ground."""
_HARD_PART = 0.15
_PARTS = ("train", "held-out")


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneClip:
    """T frames one second apart.

    Attributes:
        frames: (T, S, S, 3) uint8.
        owners: (T, S, S) uint8, which object shows at each pixel, from 1; 0 for none.
        kinds: (n,) int16, what each object is: its place in `Scenes.kinds`.
    """

    frames: np.ndarray
    owners: np.ndarray
    kinds: np.ndarray


class SceneStream:
    """Clips by number.

    Args:
        part: "train" draws from what the splits leave for training, "held-out" from what they keep from it: pictures
            of trained things, things of untrained kinds, pictures of silent things.
        size: S.
        frames: T.
        seed: another one, other clips.
        stamps: folder of stamps, None for the Debian package's.
    """

    def __init__(self, part: SceneSplit, *, size: int, frames: int, seed: int, stamps: Path | None = None) -> None:
        self.part, self.size, self.frames, self.seed = part, size, frames, seed
        collection = collect_assets(stamps)
        held = splits.split_assets(collection, 0)
        self.pool = splits.asset_pool(collection, held, "train") if part == "train" else held_out(collection, held)
        categories = {category.name for category in (*self.pool.targets, *self.pool.others)}
        self.kinds = (*sorted(categories), *(picture.key for picture in self.pool.silent))
        """Names of all that can be seen: categories, and pictures of things that belong to none."""
        self._numbers = {name: number for number, name in enumerate(self.kinds)}

    def __getitem__(self, number: int) -> SceneClip:
        """Draw clip number `number`."""
        rng = np.random.default_rng([self.seed, _PARTS.index(self.part), number])
        scene = draw_scene(rng, self.pool, self._mix(rng), "silence", size=self.size, frames=self.frames)
        owners = (scene.masks * np.arange(1, len(scene.masks) + 1, dtype=np.uint8)[:, None, None, None]).sum(0)
        roles = [thing.role for thing in scene.objects]
        names = [role.category.name if role.category else role.picture.key for role in roles]
        kinds = np.array([self._numbers[name] for name in names], dtype=np.int16)
        return SceneClip(frames=scene.frames, owners=owners.astype(np.uint8), kinds=kinds)

    def _mix(self, rng: np.random.Generator) -> DifficultyPreset:
        if self.part == "held-out":
            return STANDARD
        return HARD if rng.random() < _HARD_PART else VARIED


def held_out(collection: AssetCollection, held: SplitAssets) -> AssetPool:
    """All that training never meets, whether it sounds or not."""
    parts = [
        splits.asset_pool(collection, held, split)
        for split in ("test-new-image", "test-unseen")
        if split in splits.possible_splits(collection, held)
    ]
    targets = tuple(category for part in parts for category in part.targets)
    return AssetPool(targets=targets, others=targets, silent=parts[0].silent)


CHUNK = 8
"""Clips that go through the backbone together: always the same ones, so that the maps are the same to the last bit."""
_EMPTY = -1
_STRIDES = (4, 8, 16, 32)
MOST_OBJECTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureBatch:
    """N clips of T frames.

    Attributes:
        maps: (N, T, C, H, W) float32 at strides 4, 8, 16, 32.
        owners: (N, T, S, S) uint8.
        kinds: (N, 8) int16, what each object is; -1 where there are fewer.
    """

    maps: tuple[torch.Tensor, ...]
    owners: np.ndarray
    kinds: np.ndarray


class ReplayBuffer:
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
        self, folder: Path, model: Sam2VideoModel, scenes: SceneStream, *, slots: int, first: int, every: int
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

    def sample(self, step: int, count: int, rng: np.random.Generator) -> FeatureBatch:
        """Draw different clips from those it holds at a step; call `bring_to` before."""
        drawn = self.drawn(step)
        held = min(drawn, self.slots)
        places = (drawn - held + rng.choice(held, count, replace=False)) % self.slots
        return FeatureBatch(
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


def _key(model: Sam2VideoModel, scenes: SceneStream, slots: int) -> str:
    """What the maps depend on, as text."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        if name.startswith(BACKBONE):
            digest.update(value.numpy().tobytes())
    pictures = [p.key for c in scenes.pool.targets for p in c.pictures] + [p.key for p in scenes.pool.silent]
    about = [scenes.part, scenes.size, scenes.frames, scenes.seed, slots, pictures, digest.hexdigest()]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()
