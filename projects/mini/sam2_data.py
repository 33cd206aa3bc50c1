"""Training data of the small SAM 2: scenes, visual prompts, and a buffer of backbone maps on disk."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
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
from auralsam2.stampavs.scene import Scene, draw_scene
from auralsam2.stampavs.splits import AssetPool, SplitAssets
from projects.mini.sam2_model import BACKBONE, CHANNELS, backbone_maps

CORNERS = (2, 3)
"""Labels of the corners of a box; the prompt encoder embeds a box as two points."""
MIN_AREA = 30
"""Visible pixels from which an object is prompted."""
ABSENT = 255
"""Object number of a prompt for which no object exists."""
_EMPTY_MASK_PROB = 0.15
BOX_JITTER = 0.08
"""Maximum error of an edge of a box, as a share of the box's width or height."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptBatch:
    """B prompts with n points each.

    Attributes:
        frames: (B,) int, index of the frame.
        objects: (B,) int, number of the object in the frame's object map, from 1; `ABSENT` for none.
        points: (B, n, 2) float, x, y in pixels.
        labels: (B, n) int: 1 positive, 0 negative, -1 padding, 2 and 3 the corners of a box.
        masks: (B, 1, S/4, S/4) float logits in [-10, 10]; zeros without a mask.
        has_mask: (B,) bool.
    """

    frames: torch.Tensor
    objects: torch.Tensor
    points: torch.Tensor
    labels: torch.Tensor
    masks: torch.Tensor
    has_mask: torch.Tensor

    def embed(self, sam2: Sam2VideoModel) -> PromptEmbeddings:
        """Embed the prompts: sparse (B, 1, n + 1, C), the last token padding, and dense (B, C, h, w)."""
        encoder = sam2.prompt_encoder
        sparse, no_mask = encoder(self.points[:, None], self.labels[:, None], None, None)
        if not self.has_mask.any():
            return PromptEmbeddings(sparse, no_mask)
        dense = torch.where(self.has_mask[:, None, None, None], encoder.mask_embed(self.masks), no_mask)
        return PromptEmbeddings(sparse, dense)


_Prompt = tuple[np.ndarray, list[int], np.ndarray | None]


def draw_prompts(maps: np.ndarray, count: int, kind: str, rng: np.random.Generator) -> PromptBatch | None:
    """Draw prompts for different objects of each frame, as far as there are different ones.

    Args:
        maps: (N, S, S) uint8 object maps: number of the visible object at each pixel, 0 for none.
        count: prompts per frame.
        kind: "single": one click, or a mask with probability 1/4; "double": a box, or two clicks with probability 0.3.
        rng: draws the prompts.

    Returns:
        None if no frame shows an object of `MIN_AREA`.
    """
    rows: list[tuple[int, int, np.ndarray, list[int], np.ndarray | None]] = []
    for frame, objects in enumerate(maps):
        numbers = visible_objects(objects)
        if not len(numbers):
            continue
        order = rng.permutation(numbers)
        for index in range(count):
            number = int(order[index % len(order)])
            shape = objects == number
            points, labels, mask = (_single if kind == "single" else _double)(shape, rng)
            # A coarse mask can miss a thin object entirely.
            if mask is not None and (rng.random() < _EMPTY_MASK_PROB or not mask.any()):
                number, mask = ABSENT, np.zeros_like(shape)
            rows.append((frame, number, points, labels, mask))
    if not rows:
        return None
    frames, objects, points, labels, masks = zip(*rows, strict=True)
    side = maps.shape[1] // 4
    logits = torch.zeros(len(rows), 1, side, side)
    for index, mask in enumerate(masks):
        if mask is not None:
            share = F.interpolate(torch.from_numpy(mask)[None, None].float(), size=(side, side), mode="area")
            logits[index] = share[0] * 20.0 - 10.0
    return PromptBatch(
        frames=torch.tensor(frames),
        objects=torch.tensor(objects),
        points=torch.from_numpy(np.stack(points)).float(),
        labels=torch.tensor(labels),
        masks=logits,
        has_mask=torch.tensor([mask is not None for mask in masks]),
    )


def visible_objects(objects: np.ndarray) -> np.ndarray:
    """Return the numbers of the objects of an (S, S) object map with at least `MIN_AREA` visible pixels."""
    return np.flatnonzero(np.bincount(objects.ravel(), minlength=2)[1:] >= MIN_AREA) + 1


def _single(shape: np.ndarray, rng: np.random.Generator) -> _Prompt:
    if rng.random() < 0.25:
        return np.zeros((1, 2)), [PADDING], _coarse_mask(shape, rng)
    return _random_pixel(shape, rng)[None], [POSITIVE], None


def _double(shape: np.ndarray, rng: np.random.Generator) -> _Prompt:
    if rng.random() < 0.7:
        corners = bounding_box(shape)
        sides = corners[1] - corners[0] + 1
        jittered = corners + rng.uniform(-BOX_JITTER, BOX_JITTER, (2, 2)) * sides
        return np.clip(jittered, 0, len(shape) - 1), list(CORNERS), None
    positive = bool(rng.random() < 0.5) or shape.all()
    second = _random_pixel(shape if positive else ~shape, rng)
    return np.stack([_random_pixel(shape, rng), second]), [POSITIVE, POSITIVE if positive else NEGATIVE], None


def _random_pixel(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a pixel of a mask: x, y."""
    rows, columns = np.nonzero(shape)
    index = int(rng.integers(len(rows)))
    return np.array([columns[index], rows[index]], dtype=np.float64)


def bounding_box(shape: np.ndarray) -> np.ndarray:
    """Return x and y of the first and the last pixel of a mask, (2, 2) float."""
    rows, columns = (np.flatnonzero(shape.any(axis)) for axis in (1, 0))
    return np.array([[columns[0], rows[0]], [columns[-1], rows[-1]]], dtype=np.float64)


def _coarse_mask(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the mask, or with probability 1/2 a coarse version on cells of about S / 50 pixels."""
    if rng.random() < 0.5:
        return shape
    cells = len(shape) // 24 * 6
    share = F.interpolate(torch.from_numpy(shape)[None, None].float(), size=(cells, cells), mode="area")
    coarse = F.interpolate((share > rng.uniform(0.3, 0.7)).float(), size=shape.shape, mode="nearest")
    return coarse[0, 0].numpy() > 0.5


SceneSplit = Literal["train", "held-out"]
_SPLITS = ("train", "held-out")

VARIED = replace(
    STANDARD,
    name="varied",
    backgrounds=(("plain", 0.3), ("gradient", 0.35), ("texture", 0.2), ("clutter", 0.15)),
    layout=replace(STANDARD.layout, turn=25, overlap=0.4, drift=0.35, outside=0.05),
    visible=0.5,
    silent=0.75,
    tone=0.2,
)
"""Preset of training: mostly objects without sound, on all kinds of backgrounds."""
_HARD_PROB = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneClip:
    """T frames (T, S, S, 3) uint8 RGB, one second apart, with n objects.

    `objects` are (T, S, S) uint8 object maps: number of the visible object at each pixel, from 1; 0 for none. `classes`
    (n,) int16 index `SceneStream.classes`.
    """

    frames: np.ndarray
    objects: np.ndarray
    classes: np.ndarray

    @classmethod
    def of(cls, scene: Scene, classes: Sequence[int]) -> SceneClip:
        """Return the frames and object maps of a scene with its classes."""
        numbers = np.arange(1, len(scene.masks) + 1, dtype=np.uint8)
        objects = (scene.masks * numbers[:, None, None, None]).sum(0)
        return cls(frames=scene.frames, objects=objects.astype(np.uint8), classes=np.array(classes, dtype=np.int16))


class Scenes(ABC):
    """Clips of T frames of S × S pixels by number; a clip depends on its number and the seed alone.

    Attributes:
        split: "train" or "held-out".
        size, frames, seed: S, T and the seed.
        classes: names of the classes.
        sources: names of all images from which the clips are made.
    """

    split: SceneSplit
    classes: tuple[str, ...]
    sources: tuple[str, ...]

    def __init__(self, split: SceneSplit, *, size: int, frames: int, seed: int) -> None:
        self.split, self.size, self.frames, self.seed = split, size, frames, seed

    @abstractmethod
    def __getitem__(self, number: int) -> SceneClip:
        """Draw clip `number`."""


class SceneStream(Scenes):
    """Scenes of stamps.

    The split "held-out" has images outside training: of training categories, of other categories, and of objects
    without sound.
    """

    def __init__(self, split: SceneSplit, *, size: int, frames: int, seed: int, stamps: Path | None = None) -> None:
        super().__init__(split, size=size, frames=frames, seed=seed)
        collection = collect_assets(stamps)
        held = splits.split_assets(collection, 0)
        self.pool = splits.asset_pool(collection, held, "train") if split == "train" else held_out(collection, held)
        categories = {category.name for category in (*self.pool.targets, *self.pool.distractors)}
        self.classes = (*sorted(categories), *(picture.key for picture in self.pool.silent))
        """Class names: the categories, and each image of an object without sound."""
        pictures = [picture for category in self.pool.targets for picture in category.pictures]
        self.sources = tuple(picture.key for picture in (*pictures, *self.pool.silent))
        self._indices = {name: index for index, name in enumerate(self.classes)}

    def __getitem__(self, number: int) -> SceneClip:
        """Draw scene `number`."""
        rng = np.random.default_rng([self.seed, _SPLITS.index(self.split), number])
        scene = draw_scene(rng, self.pool, self._preset(rng), "silence", size=self.size, frames=self.frames)
        roles = [item.role for item in scene.objects]
        names = [role.category.name if role.category else role.picture.key for role in roles]
        return SceneClip.of(scene, [self._indices[name] for name in names])

    def _preset(self, rng: np.random.Generator) -> DifficultyPreset:
        if self.split == "held-out":
            return STANDARD
        return HARD if rng.random() < _HARD_PROB else VARIED


def held_out(collection: AssetCollection, held: SplitAssets) -> AssetPool:
    """Return all images outside training, with and without sound."""
    pools = [
        splits.asset_pool(collection, held, split)
        for split in ("test-new-image", "test-unseen")
        if split in splits.possible_splits(collection, held)
    ]
    targets = tuple(category for pool in pools for category in pool.targets)
    return AssetPool(targets=targets, distractors=targets, silent=pools[0].silent)


CHUNK = 8
"""Clips encoded in one batch; fixed, so that the maps are bit-identical after a resume."""
_EMPTY = -1
_STRIDES = (4, 8, 16, 32)
MAX_OBJECTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureBatch:
    """N clips of T frames.

    Maps (N, T, C, H, W) float32 at strides 4, 8, 16, 32, object maps (N, T, S, S) uint8, and classes of the objects,
    (N, 8) int16, -1 beyond the last.
    """

    maps: tuple[torch.Tensor, ...]
    objects: np.ndarray
    classes: np.ndarray


class ReplayBuffer:
    """Backbone maps of the most recent training clips, on disk.

    The backbone is frozen, so the maps of a clip are computed once and used in many steps. New clips replace the oldest
    ones. The content at a step depends on its number alone; after a kill, missing or incomplete clips are computed
    again.

    Args:
        folder: created if missing; a buffer of other weights, sizes or scenes is overwritten.
        capacity: maximum number of clips, a multiple of `CHUNK`.
        initial: clips at step 0, a multiple of `CHUNK`.
        every: number of steps between two chunks of new clips.
    """

    def __init__(
        self, folder: Path, model: Sam2VideoModel, scenes: Scenes, *, capacity: int, initial: int, every: int
    ) -> None:
        self.model, self.scenes, self.capacity, self.initial, self.every = model, scenes, capacity, initial, every
        side, frames = scenes.size, scenes.frames
        shapes = [
            (capacity, frames, channels, side // stride, side // stride)
            for channels, stride in zip(reversed(CHANNELS), _STRIDES, strict=True)
        ]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            key, key_file = _key(model, scenes, capacity), folder / "key.txt"
            new = not key_file.is_file() or key_file.read_text(encoding="utf-8") != key
            mode = "w+" if new else "r+"
            if new:
                key_file.unlink(missing_ok=True)
            self._numbers = np.memmap(folder / "numbers.bin", np.int64, mode, shape=(capacity,))
            self._objects = np.memmap(folder / "objects.bin", np.uint8, mode, shape=(capacity, frames, side, side))
            self._classes = np.memmap(folder / "classes.bin", np.int16, mode, shape=(capacity, MAX_OBJECTS))
            self._maps = [
                np.memmap(folder / f"stride{stride}.bin", np.float16, mode, shape=shape)
                for stride, shape in zip(_STRIDES, shapes, strict=True)
            ]
            if new:
                self._numbers[:] = _EMPTY
                key_file.write_text(key, encoding="utf-8")
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{folder}: no room for the buffer ({error}): remove it or choose another out="
            ) from error

    def total(self, step: int) -> int:
        """Return the number of clips drawn until a step."""
        return self.initial + step // self.every * CHUNK

    def fill(self, step: int) -> None:
        """Compute the clips of a step that are missing."""
        total = self.total(step)
        for start in range(max(0, total - self.capacity), total, CHUNK):
            numbers = np.arange(start, start + CHUNK)
            if not np.array_equal(self._numbers[numbers % self.capacity], numbers):
                self._compute(numbers)

    def sample(self, step: int, count: int, rng: np.random.Generator) -> FeatureBatch:
        """Draw different clips from the content at a step; call `fill` before."""
        total = self.total(step)
        size = min(total, self.capacity)
        slots = (total - size + rng.choice(size, count, replace=False)) % self.capacity
        return FeatureBatch(
            maps=tuple(torch.from_numpy(level[slots].astype(np.float32)) for level in self._maps),
            objects=self._objects[slots],
            classes=self._classes[slots],
        )

    def _compute(self, numbers: np.ndarray) -> None:
        clips = [self.scenes[int(number)] for number in numbers]
        maps = backbone_maps(self.model, as_pixels(np.concatenate([clip.frames for clip in clips])))
        slots = numbers % self.capacity
        self._numbers[slots] = _EMPTY  # until all is written
        self._objects[slots] = np.stack([clip.objects for clip in clips])
        for slot, clip in zip(slots, clips, strict=True):
            self._classes[slot] = -1
            self._classes[slot, : len(clip.classes)] = clip.classes
        for level, computed in zip(self._maps, maps, strict=True):
            level[slots] = computed.half().unflatten(0, (len(clips), -1)).numpy()
        self._numbers[slots] = numbers


def as_pixels(frames: np.ndarray) -> torch.Tensor:
    """Convert (N, S, S, 3) uint8 images to the model's normalised (N, 3, S, S) float input."""
    return normalise(torch.from_numpy(frames).permute(0, 3, 1, 2))


def _key(model: Sam2VideoModel, scenes: Scenes, capacity: int) -> str:
    """Return a hash of everything that determines the maps."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        if name.startswith(BACKBONE):
            digest.update(value.numpy().tobytes())
    images = list(scenes.sources)
    source = [scenes.split, scenes.size, scenes.frames, scenes.seed, capacity, images, digest.hexdigest()]
    return hashlib.sha256(json.dumps(source).encode()).hexdigest()
