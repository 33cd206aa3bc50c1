"""Scene: frames of some seconds, their audio, and exact masks of all objects and of the sounding ones.

A scene is drawn from one random generator, and thus reproducible by its seed. Sounding objects are drawn first; places,
sizes, motion and background are independent of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from auralsam2.stampavs.assets import Category, StampImage, read_stamp
from auralsam2.stampavs.audio import SourceTrack, draw_track, mix_tracks_down
from auralsam2.stampavs.layout import ObjectPaths, draw_paths
from auralsam2.stampavs.presets import COUNTS, WITHOUT_TARGET, DifficultyPreset
from auralsam2.stampavs.render import Cutout, compose_frame, draw_background
from auralsam2.stampavs.splits import AssetPool

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class ObjectRole:
    """Role of a visible object: its stamp, its category, None without recording, and whether it sounds."""

    picture: StampImage
    category: Category | None
    sounds: bool = False


@dataclass(frozen=True, kw_only=True)
class ObjectSelection:
    """Objects of a scene.

    Attributes:
        roles: visible objects in random order.
        twins: numbers of two objects of one category, of which one sounds, or None.
        offscreen: categories of sounding objects outside the image.
    """

    roles: tuple[ObjectRole, ...]
    twins: tuple[int, int] | None
    offscreen: tuple[Category, ...]


def select_objects(pool: AssetPool, mix: DifficultyPreset, kind: str, rng: np.random.Generator) -> ObjectSelection:
    """Draw the objects of a scene of the given kind."""
    numbers, shares = zip(*COUNTS[kind], strict=True)
    count = int(rng.choice(numbers, p=shares))
    roles: list[ObjectRole] = []
    for category in _sample(pool.targets, 0 if kind in WITHOUT_TARGET else 2 if kind == "multi" else 1, rng):
        roles.append(ObjectRole(picture=_choose(category.pictures, rng), category=category, sounds=True))
        if kind == "twins":
            roles.append(ObjectRole(picture=_choose(category.pictures, rng), category=category))
    used = {role.category.name for role in roles if role.category}
    offscreen: list[Category] = []
    if kind == "offscreen" or (kind not in WITHOUT_TARGET and rng.random() < mix.offscreen):
        similar = {name for role in roles if role.category for name in role.category.alike}
        absent = [c for c in pool.targets if c.name not in used | similar and not used & set(c.alike)]
        offscreen = _sample(absent, 1, rng)
        used |= {name for category in offscreen for name in (category.name, *category.alike)}
    group = roles[0].category.group if kind == "distractor" and roles[0].category else None
    while len(roles) < count:
        role = _silent_object(pool, mix, group, used, {role.picture.key for role in roles}, rng)
        if role is None:
            break
        roles.append(role)
        if role.category:
            used.add(role.category.name)
    order = [int(number) for number in rng.permutation(len(roles))]
    twins = (order.index(0), order.index(1)) if kind == "twins" else None
    return ObjectSelection(roles=tuple(roles[number] for number in order), twins=twins, offscreen=tuple(offscreen))


def _silent_object(
    pool: AssetPool,
    mix: DifficultyPreset,
    group: str | None,
    used: set[str],
    used_stamps: set[str],
    rng: np.random.Generator,
) -> ObjectRole | None:
    """Draw a visible silent object; None if no stamps are available.

    Half of them belong to categories that may sound in this split, so that these are not recognisable.
    """
    if group is None and rng.random() < mix.silent:
        silent = [picture for picture in pool.silent if picture.key not in used_stamps]
        if silent:
            return ObjectRole(picture=_choose(silent, rng), category=None)
    first, second = (pool.targets, pool.distractors) if rng.random() < 0.5 else (pool.distractors, pool.targets)
    for categories in (first, second):
        available = [c for c in categories if c.name not in used and group in (None, c.group)]
        if available:
            category = _choose(available, rng)
            return ObjectRole(picture=_choose(category.pictures, rng), category=category)
    return None if group is None else _silent_object(pool, mix, None, used, used_stamps, rng)


def _choose(items: Sequence[Item], rng: np.random.Generator) -> Item:
    return items[int(rng.integers(len(items)))]


def _sample(items: Sequence[Item], count: int, rng: np.random.Generator) -> list[Item]:
    return [items[int(number)] for number in rng.permutation(len(items))[:count]]


@dataclass(frozen=True, kw_only=True)
class SceneRenderer:
    """Renderer of a scene: background (S, S, 3) uint8, n stamps from back to front, and their paths.

    Each stamp was prepared for its maximum extent.
    """

    ground: np.ndarray
    cutouts: tuple[Cutout, ...]
    paths: tuple[ObjectPaths, ...]

    def render_frame(self, frame: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Render frame `frame`, from 0, or a moment between two frames; poses are interpolated linearly.

        Returns:
            (S, S, 3) uint8; the visible pixels of each stamp, (n, S, S) bool; the number of pixels of each without
            occlusion, (n,) int.
        """
        largest = [float(path.extent.max()) for path in self.paths]
        return compose_frame(self.ground, self.cutouts, [path.pose(frame) for path in self.paths], largest)


FRAMES = (5, 10)
LONG = 0.25
"""Share of scenes with 10 frames instead of 5."""
MAX_SIZE = 1024
PHOTOGRAPH = "photograph"


@dataclass(frozen=True, kw_only=True)
class SceneObject:
    """Visible object.

    Attributes:
        fid: number, from 1 for the one at the back.
        category: name of its category, or of the object if it has no recording.
        stamp: key of its image.
        role: its role.
        track: its audio, None for a silent object.
        pan: (T,) x of its centre, 0 at the left, 1 at the right, from which its sound comes.
        boxes: (T, 4) int, x0, y0, x1, y1 around its visible pixels, the last two exclusive.
        areas: (T,) int, number of visible pixels.
    """

    fid: int
    category: str
    stamp: str
    role: ObjectRole
    track: SourceTrack | None
    pan: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Rendered scene of T seconds with one frame each.

    Attributes:
        kind: one of `presets.KINDS`.
        mix: "standard" or "hard".
        background: one of `render.BACKGROUNDS`, or `PHOTOGRAPH`.
        frames: (T, S, S, 3) uint8; frame i shows the time i + 0.5 s.
        samples: (T · 16000, 2) float32 in [-1, 1].
        masks: (n, T, S, S) bool, the visible pixels of each object; disjoint.
        sounding: (n, T) bool, the seconds in which each object sounds.
        objects: n visible objects.
        offscreen: audio of objects outside the image.
        renderer: renderer of the frames.
    """

    kind: str
    mix: str
    background: str
    frames: np.ndarray
    samples: np.ndarray
    masks: np.ndarray
    sounding: np.ndarray
    objects: tuple[SceneObject, ...]
    offscreen: tuple[SourceTrack, ...]
    renderer: SceneRenderer

    @property
    def categories(self) -> tuple[str, ...]:
        """Category of each object."""
        return tuple(item.category for item in self.objects)

    @property
    def target(self) -> np.ndarray:
        """(T, S, S) bool, the visible pixels of the sounding objects of each frame."""
        return np.logical_or.reduce(self.masks & self.sounding[:, :, None, None])


def draw_scene(
    rng: np.random.Generator,
    pool: AssetPool,
    mix: DifficultyPreset,
    kind: str,
    *,
    size: int = 256,
    frames: int | None = None,
    background: Callable[[int, np.random.Generator], np.ndarray] | None = None,
) -> Scene:
    """Draw a scene.

    Args:
        rng: random generator.
        pool: images and recordings; see `splits.asset_pool`.
        mix: difficulty preset.
        kind: one of `presets.KINDS`.
        size: S, pixels, 32 to 1024.
        frames: T, seconds; None for 5 or, with probability `LONG`, 10.
        background: draws a photograph of (size, size, 3) uint8; None for the backgrounds of the preset.
    """
    if not 32 <= size <= MAX_SIZE:
        raise ValueError(f"size {size} is not within 32 to {MAX_SIZE} pixels")
    seconds = frames or (FRAMES[1] if rng.random() < LONG else FRAMES[0])
    selection = select_objects(pool, mix, kind, rng)
    names, shares = zip(*mix.backgrounds, strict=True)
    ground = str(rng.choice(names, p=shares)) if background is None else PHOTOGRAPH
    # The audio has its own generator, so that images and audio do not influence each other.
    image_rng, audio_rng = rng.spawn(2)
    still = draw_background(ground, size, image_rng) if background is None else background(size, image_rng)
    pictures, masks, renderer = _render(selection, seconds, mix, still, image_rng)
    voices = [role.category if role.sounds else None for role in selection.roles]
    tracks = [draw_track(voice, seconds, mix, audio_rng) if voice else None for voice in voices]
    offscreen = [draw_track(category, seconds, mix, audio_rng) for category in selection.offscreen]
    pans = [np.clip(path.centre[:, 0], 0.0, 1.0) for path in renderer.paths]
    samples = mix_tracks_down(kind, mix, seconds, list(zip(tracks, pans, strict=True)), offscreen, audio_rng)
    objects = tuple(
        SceneObject(
            fid=number + 1,
            category=_object_name(role),
            stamp=role.picture.key,
            role=role,
            track=track,
            pan=pan,
            boxes=np.array([_box(mask) for mask in visible]),
            areas=visible.sum(axis=(1, 2)),
        )
        for number, (role, track, pan, visible) in enumerate(zip(selection.roles, tracks, pans, masks, strict=True))
    )
    silence = np.zeros(seconds, dtype=bool)
    return Scene(
        kind=kind,
        mix=mix.name,
        background=ground,
        frames=pictures,
        samples=samples,
        masks=masks,
        sounding=np.array([track.sounding if track else silence for track in tracks]),
        objects=objects,
        offscreen=tuple(offscreen),
        renderer=renderer,
    )


def _render(
    selection: ObjectSelection, seconds: int, mix: DifficultyPreset, ground: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, SceneRenderer]:
    """Render frames and masks; layouts are redrawn with less overlap until every object is visible enough."""
    side = len(ground)
    stamps = [read_stamp(role.picture.path) for role in selection.roles]
    shapes = [(stamp.shape[1] / max(stamp.shape[:2]), stamp.shape[0] / max(stamp.shape[:2])) for stamp in stamps]
    mirrored = rng.random(len(stamps)) < 0.5
    tones = rng.uniform(1 - mix.tone, 1 + mix.tone, len(stamps))
    layout = mix.layout
    while True:
        paths = draw_paths(shapes, seconds, layout, rng, selection.twins)
        cutouts = tuple(
            Cutout(stamp, float(path.extent.max()) * side, mirrored=bool(flip), tone=float(tone))
            for stamp, path, flip, tone in zip(stamps, paths, mirrored, tones, strict=True)
        )
        renderer = SceneRenderer(ground=ground, cutouts=cutouts, paths=tuple(paths))
        pictures = np.empty((seconds, *ground.shape), dtype=np.uint8)
        masks = np.empty((len(stamps), seconds, side, side), dtype=bool)
        shares = []
        for frame in range(seconds):
            pictures[frame], masks[:, frame], unoccluded = renderer.render_frame(frame)
            shares.append(masks[:, frame].sum(axis=(1, 2)) / np.maximum(unoccluded, 1))
        if np.min(shares) >= mix.visible:
            return pictures, masks, renderer
        layout = replace(
            layout, overlap=0.7 * layout.overlap if layout.overlap > 0.02 else 0.0, outside=0.7 * layout.outside
        )


def _object_name(role: ObjectRole) -> str:
    """Return the name of an object: that of its category or its stamp, else its file name."""
    if role.category:
        return role.category.name
    return role.picture.name or role.picture.key.rsplit("/", 1)[-1].replace("_", " ").replace("-", " ").lower()


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
