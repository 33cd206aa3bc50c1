"""A scene: some seconds of pictures, their sound, and the exact masks of what is seen and of what sounds.

Everything is drawn from one random generator, so a scene can be had again from its seed. Who sounds is drawn before the
places, sizes and ways, but these do not know of it; nor does the background.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """One object that is seen.

    Attributes:
        picture: its stamp.
        category: None for a thing that has no sound.
        sounds: whether it is one that makes itself heard.
    """

    picture: StampImage
    category: Category | None
    sounds: bool = False


@dataclass(frozen=True, kw_only=True)
class ObjectSelection:
    """All of a scene.

    Attributes:
        roles: in random order.
        twins: numbers of two roles that only their side tells apart, or None.
        offscreen: categories that sound without being seen.
    """

    roles: tuple[ObjectRole, ...]
    twins: tuple[int, int] | None
    offscreen: tuple[Category, ...]


def select_objects(pool: AssetPool, mix: DifficultyPreset, kind: str, rng: np.random.Generator) -> ObjectSelection:
    """Draw who is in a scene of the given kind."""
    numbers, shares = zip(*COUNTS[kind], strict=True)
    count = int(rng.choice(numbers, p=shares))
    roles: list[ObjectRole] = []
    for category in _distinct(pool.targets, 0 if kind in WITHOUT_TARGET else 2 if kind == "multi" else 1, rng):
        roles.append(ObjectRole(picture=_one(category.pictures, rng), category=category, sounds=True))
        if kind == "twins":
            roles.append(ObjectRole(picture=_one(category.pictures, rng), category=category))
    taken = {role.category.name for role in roles if role.category}
    unseen: list[Category] = []
    if kind == "offscreen" or (kind not in WITHOUT_TARGET and rng.random() < mix.offscreen):
        near = {name for role in roles if role.category for name in role.category.alike}
        away = [c for c in pool.targets if c.name not in taken | near and not taken & set(c.alike)]
        unseen = _distinct(away, 1, rng)
        taken |= {name for category in unseen for name in (category.name, *category.alike)}
    group = roles[0].category.group if kind == "distractor" and roles[0].category else None
    while len(roles) < count:
        role = _bystander(pool, mix, group, taken, {role.picture.key for role in roles}, rng)
        if role is None:
            break
        roles.append(role)
        if role.category:
            taken.add(role.category.name)
    order = [int(number) for number in rng.permutation(len(roles))]
    twins = (order.index(0), order.index(1)) if kind == "twins" else None
    return ObjectSelection(roles=tuple(roles[number] for number in order), twins=twins, offscreen=tuple(unseen))


def _bystander(
    pool: AssetPool,
    mix: DifficultyPreset,
    group: str | None,
    taken: set[str],
    shown: set[str],
    rng: np.random.Generator,
) -> ObjectRole | None:
    """Draw an object that is seen and keeps silent; None where nothing is left.

    Half of them are of the categories that may sound in this split, so that these do not stand out.
    """
    if group is None and rng.random() < mix.silent:
        silent = [picture for picture in pool.silent if picture.key not in shown]
        if silent:
            return ObjectRole(picture=_one(silent, rng), category=None)
    first, second = (pool.targets, pool.others) if rng.random() < 0.5 else (pool.others, pool.targets)
    for categories in (first, second):
        free = [c for c in categories if c.name not in taken and group in (None, c.group)]
        if free:
            category = _one(free, rng)
            return ObjectRole(picture=_one(category.pictures, rng), category=category)
    return None if group is None else _bystander(pool, mix, None, taken, shown, rng)


def _one(items: Sequence[Item], rng: np.random.Generator) -> Item:
    return items[int(rng.integers(len(items)))]


def _distinct(items: Sequence[Item], count: int, rng: np.random.Generator) -> list[Item]:
    """Different ones, fewer where there are not enough."""
    return [items[int(number)] for number in rng.permutation(len(items))[:count]]


@dataclass(frozen=True, kw_only=True)
class SceneRenderer:
    """All that is seen of a scene.

    Attributes:
        ground: (S, S, 3) uint8, the background.
        cutouts: n stamps, from the furthest to the nearest.
        paths: of each; its greatest extent is the one that the stamp was prepared for.
    """

    ground: np.ndarray
    cutouts: tuple[Cutout, ...]
    paths: tuple[ObjectPaths, ...]

    def at(self, frame: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The picture of a frame, or between two.

        Args:
            frame: number, from 0. Poses change evenly from one frame to the next and stay before the first and after
                the last.

        Returns:
            (S, S, 3) uint8; the visible pixels of each stamp, (n, S, S) bool; how many each would show alone, (n,) int.
        """
        largest = [float(path.extent.max()) for path in self.paths]
        return compose_frame(self.ground, self.cutouts, [path.pose(frame) for path in self.paths], largest)


FRAMES = (5, 10)
LONG = 0.25
"""Share of scenes with 10 frames instead of 5."""
LARGEST_SIZE = 1024


@dataclass(frozen=True, kw_only=True)
class SceneObject:
    """An object that is seen.

    Attributes:
        fid: its number, from 1, the furthest, on.
        category: name of its category, or of the thing if it has no sound.
        stamp: key of its picture.
        role: what it was drawn as.
        track: its sound, None if it has none in this scene.
        pan: (T,) where its sound comes from: x of its middle, 0 at the left, 1 at the right.
        boxes: (T, 4) int, x0, y0, x1, y1 around its visible pixels, the last two exclusive.
        areas: (T,) int, visible pixels.
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
    """Some seconds, one frame each.

    Attributes:
        kind: one of `mixes.KINDS`.
        mix: "standard" or "hard".
        background: one of `paint.BACKGROUNDS`.
        frames: (T, S, S, 3) uint8; frame i shows the instant i + 0.5 s.
        samples: (T · 16000, 2) float32 in [-1, 1].
        masks: (n, T, S, S) bool, the visible pixels of each thing; disjoint.
        sounding: (n, T) bool, which thing is heard in which second.
        things: n of them.
        offscreen: what sounds without being seen.
        stage: what made the frames, for pictures between them.
    """

    kind: str
    mix: str
    background: str
    frames: np.ndarray
    samples: np.ndarray
    masks: np.ndarray
    sounding: np.ndarray
    things: tuple[SceneObject, ...]
    offscreen: tuple[SourceTrack, ...]
    stage: SceneRenderer

    @property
    def categories(self) -> tuple[str, ...]:
        """Of each thing."""
        return tuple(thing.category for thing in self.things)

    @property
    def target(self) -> np.ndarray:
        """(T, S, S) bool, the visible pixels of all that is heard in each frame."""
        return np.logical_or.reduce(self.masks & self.sounding[:, :, None, None])


def draw_scene(
    rng: np.random.Generator,
    pool: AssetPool,
    mix: DifficultyPreset,
    kind: str,
    *,
    size: int = 256,
    frames: int | None = None,
) -> Scene:
    """Draw a scene.

    Args:
        rng: everything comes from it.
        pool: things and sounds to choose from; see `splits.pool`.
        mix: how hard it shall be.
        kind: what shall happen, one of `mixes.KINDS`.
        size: S, pixels, 32 to 1024.
        frames: T, seconds; None for 5 or, in a quarter of all scenes, 10.
    """
    if not 32 <= size <= LARGEST_SIZE:
        raise ValueError(f"size {size} is not within 32 to {LARGEST_SIZE} pixels")
    seconds = frames or (FRAMES[1] if rng.random() < LONG else FRAMES[0])
    cast = select_objects(pool, mix, kind, rng)
    names, shares = zip(*mix.backgrounds, strict=True)
    ground = str(rng.choice(names, p=shares))
    # Sounds get a generator of their own: how the picture turned out must not matter to them, nor they to it.
    seen, heard = rng.spawn(2)
    pictures, masks, stage = _paint(cast, seconds, mix, draw_background(ground, size, seen), seen)
    voices = [role.category if role.sounds else None for role in cast.roles]
    tracks = [draw_track(voice, seconds, mix, heard) if voice else None for voice in voices]
    away = [draw_track(category, seconds, mix, heard) for category in cast.offscreen]
    pans = [np.clip(path.centre[:, 0], 0.0, 1.0) for path in stage.paths]
    samples = mix_tracks_down(kind, mix, seconds, list(zip(tracks, pans, strict=True)), away, heard)
    things = tuple(
        SceneObject(
            fid=number + 1,
            category=_call(role),
            stamp=role.picture.key,
            role=role,
            track=track,
            pan=pan,
            boxes=np.array([_box(mask) for mask in shown]),
            areas=shown.sum(axis=(1, 2)),
        )
        for number, (role, track, pan, shown) in enumerate(zip(cast.roles, tracks, pans, masks, strict=True))
    )
    never = np.zeros(seconds, dtype=bool)
    return Scene(
        kind=kind,
        mix=mix.name,
        background=ground,
        frames=pictures,
        samples=samples,
        masks=masks,
        sounding=np.array([track.sounding if track else never for track in tracks]),
        things=things,
        offscreen=tuple(away),
        stage=stage,
    )


def _paint(
    cast: ObjectSelection, seconds: int, mix: DifficultyPreset, ground: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, SceneRenderer]:
    """Pictures, masks and what made them; anew, with less overlap, until every object can be seen well enough."""
    side = len(ground)
    stamps = [read_stamp(role.picture.path) for role in cast.roles]
    shapes = [(stamp.shape[1] / max(stamp.shape[:2]), stamp.shape[0] / max(stamp.shape[:2])) for stamp in stamps]
    mirrored = rng.random(len(stamps)) < 0.5
    tones = rng.uniform(1 - mix.tone, 1 + mix.tone, len(stamps))
    room = mix.room
    while True:
        paths = draw_paths(shapes, seconds, room, rng, cast.twins)
        cutouts = tuple(
            Cutout(stamp, float(path.extent.max()) * side, mirrored=bool(flip), tone=float(tone))
            for stamp, path, flip, tone in zip(stamps, paths, mirrored, tones, strict=True)
        )
        stage = SceneRenderer(ground=ground, cutouts=cutouts, paths=tuple(paths))
        pictures = np.empty((seconds, *ground.shape), dtype=np.uint8)
        masks = np.empty((len(stamps), seconds, side, side), dtype=bool)
        shares = []
        for frame in range(seconds):
            pictures[frame], masks[:, frame], alone = stage.at(frame)
            shares.append(masks[:, frame].sum(axis=(1, 2)) / np.maximum(alone, 1))
        if np.min(shares) >= mix.visible:
            return pictures, masks, stage
        room = replace(room, overlap=0.7 * room.overlap if room.overlap > 0.02 else 0.0, outside=0.7 * room.outside)


def _call(role: ObjectRole) -> str:
    """What to call an object: its category, its own name, or else its file's."""
    if role.category:
        return role.category.name
    return role.picture.name or role.picture.key.rsplit("/", 1)[-1].replace("_", " ").replace("-", " ").lower()


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Around the pixels of a mask; zeros for an empty one."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
