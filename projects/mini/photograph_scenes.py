"""Scenes of photographs for the small SAM 2: moving parts of photographs with their own masks, and composites."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from auralsam2.stampavs.assets import read_picture
from auralsam2.stampavs.photographs import PhotographMask, PhotographSources, photograph_pool, read_sources
from auralsam2.stampavs.realavs import add_camera_noise, draw_real_scene, save_cutouts
from projects.mini.sam2_data import MAX_OBJECTS, SceneClip, Scenes, SceneSplit

_SPLITS: dict[SceneSplit, str] = {"train": "train", "held-out": "test"}
_MIN_PART = 0.55
"""Smallest width and height of the visible part, as a share of the photograph's."""
_SKEW = 0.04
"""Largest shift of a corner of the visible part, as a share of its width or height."""
_ZOOM = 0.25
"""Largest change of width and height of the visible part over a clip."""
_MAX_BLUR = 1.0
_COMPRESSED_PROB, _QUALITIES = 0.5, (30, 90)

Quad = np.ndarray
"""Corners (4, 2) float of the visible part, x and y in pixels: upper left, lower left, lower right, upper right."""


def read_photographs(folder: Path, split: SceneSplit, excluded: frozenset[str] = frozenset()) -> PhotographSources:
    """Read the photographs of a split from a folder in the layout of RealAVS, without `excluded` categories.

    Sources marked as `held-out` are in the split "held-out" alone.
    """
    return read_sources(folder, _SPLITS[split], excluded)


class PhotographStream(Scenes):
    """Moving parts of photographs by number, with the masks of their objects.

    A part has random corners, which move during the clip, so that position, size, aspect and perspective change.
    Training clips are mirrored, coloured, blurred, noisy and compressed at random. In the split "held-out" a clip
    begins with the whole photograph, and the photographs follow in the order of their names.

    Args:
        sources: photographs of the split.
        shape: `size`, `frames` and `seed` of `Scenes`.
    """

    def __init__(self, split: SceneSplit, *, sources: PhotographSources, **shape: int) -> None:
        super().__init__(split, **shape)
        photographs: dict[Path, list[PhotographMask]] = defaultdict(list)
        for mask in sources.masks:
            photographs[mask.path].append(mask)
        self._photographs = [
            sorted(masks, key=lambda one: -one.mask.sum())[:MAX_OBJECTS] for _, masks in sorted(photographs.items())
        ]
        self.classes = tuple(sorted({mask.kind for masks in self._photographs for mask in masks}))
        self.sources = tuple(mask.key for masks in self._photographs for mask in masks)

    def __len__(self) -> int:
        """Number of photographs."""
        return len(self._photographs)

    def __getitem__(self, number: int) -> SceneClip:
        """Draw clip `number`."""
        rng = np.random.default_rng([self.seed, list(_SPLITS).index(self.split), number])
        train = self.split == "train"
        masks = self._photographs[int(rng.integers(len(self))) if train else number % len(self)]
        picture = read_picture(masks[0].path, "RGB")
        objects = np.zeros(masks[0].mask.shape, np.uint8)
        for index, mask in enumerate(masks):
            objects[mask.mask] = index + 1
        first = _draw_part(picture.size, rng) if train else _rectangle(0.0, 0.0, *picture.size)
        quads = _motion(first, picture.size, self.frames, rng)
        if train and rng.random() < 0.5:
            quads = quads[:, [3, 2, 1, 0]]
        colour = _draw_colour(rng) if train else np.array([[1.0, 0.0]] * 3)
        frames, maps = [], []
        for quad in quads:
            frame = np.asarray(_warp(picture, quad, self.size, Image.Resampling.BILINEAR), dtype=np.float32)
            frame = np.clip(frame * colour[:, 0] + colour[:, 1], 0, 255).astype(np.uint8)
            frames.append(_degrade(frame, rng) if train else frame)
            maps.append(np.asarray(_warp(Image.fromarray(objects), quad, self.size, Image.Resampling.NEAREST)))
        classes = np.array([self.classes.index(mask.kind) for mask in masks], dtype=np.int16)
        return SceneClip(frames=np.stack(frames), objects=np.stack(maps), classes=classes)


class CompositeStream(Scenes):
    """Scenes of RealAVS without sound, by number: photographic cutouts over photographs.

    Arguments are those of `PhotographStream`; the cutouts are written to `cutouts`.
    """

    def __init__(self, split: SceneSplit, *, sources: PhotographSources, cutouts: Path, **shape: int) -> None:
        super().__init__(split, **shape)
        save_cutouts(sources, cutouts)
        self._pool = pool = photograph_pool(sources, cutouts, check=False)
        self._sources = replace(sources, masks=())  # the cutouts hold them
        pictures = [picture for category in pool.targets for picture in category.pictures] + [*pool.silent]
        self.classes = tuple(sorted({str(picture.name) for picture in pictures}))
        self.sources = tuple(picture.key for picture in pictures)

    def __getitem__(self, number: int) -> SceneClip:
        """Draw scene `number`."""
        scene = draw_real_scene(
            self._pool,
            self._sources,
            _SPLITS[self.split],
            number,
            kind="silence",
            seed=self.seed,
            size=self.size,
            frames=self.frames,
        )
        return SceneClip.of(scene, [self.classes.index(str(item.role.picture.name)) for item in scene.objects])


class MixedScenes(Scenes):
    """Clips of several streams of one size and length in turn, with one list of classes."""

    def __init__(self, streams: Sequence[Scenes]) -> None:
        first = streams[0]
        super().__init__(first.split, size=first.size, frames=first.frames, seed=first.seed)
        self.streams = streams
        self.classes = tuple(sorted({name for stream in streams for name in stream.classes}))
        self.sources = tuple(source for stream in streams for source in stream.sources)
        indices = {name: index for index, name in enumerate(self.classes)}
        self._classes = [np.array([indices[name] for name in stream.classes], dtype=np.int16) for stream in streams]

    def __getitem__(self, number: int) -> SceneClip:
        """Draw clip `number`."""
        stream = number % len(self.streams)
        clip = self.streams[stream][number // len(self.streams)]
        return replace(clip, classes=self._classes[stream][clip.classes])


def _rectangle(x0: float, y0: float, x1: float, y1: float) -> Quad:
    return np.array([[x0, y0], [x0, y1], [x1, y1], [x1, y0]])


def _draw_part(size: tuple[int, int], rng: np.random.Generator) -> Quad:
    extent = np.array(size) * rng.uniform(_MIN_PART, 1.0, 2)
    low = rng.uniform(0.0, 1.0, 2) * (np.array(size) - extent)
    return _rectangle(*low, *(low + extent))


def _motion(first: Quad, size: tuple[int, int], frames: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the corners of each frame, (T, 4, 2), inside the photograph; the first frame has the given ones."""
    extent = first[2] - first[0]
    centre = first.mean(0)
    scale = 1 - rng.uniform(0.0, _ZOOM, 2)
    shift = rng.uniform(-_ZOOM / 2, _ZOOM / 2, 2) * extent
    last = (first - centre) * scale + centre + shift + rng.uniform(-_SKEW, _SKEW, (4, 2)) * extent
    shares = np.linspace(0.0, 1.0, frames)[:, None, None]
    return np.clip(first + shares * (last - first), 0, np.array(size))


def _warp(image: Image.Image, quad: Quad, side: int, method: Image.Resampling) -> Image.Image:
    return image.transform((side, side), Image.Transform.QUAD, tuple(quad.ravel()), method)


def _draw_colour(rng: np.random.Generator) -> np.ndarray:
    """Draw gain and offset of each channel, (3, 2)."""
    contrast, brightness = rng.uniform(0.75, 1.25), rng.uniform(-25, 25)
    return np.stack([contrast * rng.uniform(0.9, 1.1, 3), np.full(3, brightness)], axis=1)


def _degrade(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    frame = add_camera_noise(frame, float(rng.uniform(0.0, _MAX_BLUR)), rng)
    if rng.random() >= _COMPRESSED_PROB:
        return frame
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=int(rng.integers(*_QUALITIES)))
    return np.asarray(Image.open(file))
