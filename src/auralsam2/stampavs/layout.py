"""Where the objects of a scene stand and how they move; drawn before anybody knows which of them will sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auralsam2.stampavs.render import Pose

APART = 0.3
"""Least distance in x, in widths of the frame, of two objects that only their side tells apart."""


@dataclass(frozen=True, kw_only=True)
class LayoutLimits:
    """What layouts may look like.

    Attributes:
        extents: least and greatest longer side of an object, in widths of the frame, by the number of objects, from
            one object on; the last pair holds for more.
        overlap: share of the smaller of two boxes that may lie under the other.
        drift: greatest way in x and in y over a clip, in widths of the frame.
        turn: greatest angle from upright, in degrees, at the ends of a clip.
        outside: share of an object's box, in x and in y, that may lie outside the frame.
    """

    extents: tuple[tuple[float, float], ...]
    overlap: float
    drift: float
    turn: float
    outside: float

    def extent(self, count: int, rng: np.random.Generator) -> float:
        """Draw the longer side of one of `count` objects."""
        low, high = self.extents[min(count, len(self.extents)) - 1]
        return float(rng.uniform(low, high))


@dataclass(frozen=True, kw_only=True)
class ObjectPaths:
    """The poses of one object in T frames.

    Attributes:
        centre: (T, 2) x and y.
        extent: (T,) longer side.
        angle: (T,) degrees.
        box: (T, 4) x0, y0, x1, y1 of the turned box; all in widths of the frame.
    """

    centre: np.ndarray
    extent: np.ndarray
    angle: np.ndarray
    box: np.ndarray

    def pose(self, frame: float) -> Pose:
        """The pose in one frame, or evenly between two; the first and the last hold for all beyond."""
        x, y, extent, angle = (
            float(np.interp(frame, np.arange(len(values)), values))
            for values in (*self.centre.T, self.extent, self.angle)
        )
        return Pose(x=x, y=y, extent=extent, angle=angle)


def draw_paths(
    shapes: Sequence[tuple[float, float]],
    frames: int,
    room: LayoutLimits,
    rng: np.random.Generator,
    apart: tuple[int, int] | None = None,
) -> list[ObjectPaths]:
    """Draw a path for each object, none of which hides another for long.

    Args:
        shapes: width and height of each object, the longer one 1.
        frames: T.
        room: what is allowed.
        rng: draws everything.
        apart: two objects that stay on different sides, by their numbers.

    Returns:
        one path an object. Where there is no room for all, they are drawn smaller and smaller.
    """
    shrink = 1.0
    while True:
        paths: list[ObjectPaths] = []
        for number, shape in enumerate(shapes):
            rivals = [paths[other] for other in apart or () if apart and number in apart and other < number]
            found = _place(shape, shrink * room.extent(len(shapes), rng), frames, room, rng, paths, rivals)
            if found is None:
                break
            paths.append(found)
        else:
            return paths
        shrink *= 0.93


def _place(
    shape: tuple[float, float],
    extent: float,
    frames: int,
    room: LayoutLimits,
    rng: np.random.Generator,
    others: Sequence[ObjectPaths],
    rivals: Sequence[ObjectPaths],
) -> ObjectPaths | None:
    """Draw paths until one suits; None after thirty."""
    for _ in range(30):
        path = _path(shape, extent, frames, room, rng)
        crowded = any(_overlap(path.box, other.box) > room.overlap for other in others)
        close = any(np.abs(path.centre[:, 0] - rival.centre[:, 0]).min() < APART for rival in rivals)
        crossing = any(np.ptp(np.sign(path.centre[:, 0] - rival.centre[:, 0])) for rival in rivals)
        if not (crowded or close or crossing):
            return path
    return None


def _path(
    shape: tuple[float, float], extent: float, frames: int, room: LayoutLimits, rng: np.random.Generator
) -> ObjectPaths:
    """An even drift with a swing on it, a slow turn, a slow change of size."""
    time = np.linspace(0.0, 1.0, frames) if frames > 1 else np.zeros(1)
    size = extent * np.linspace(1.0, rng.uniform(0.85, 1.0), frames)[:: int(rng.choice([-1, 1]))]
    first, last = rng.uniform(-room.turn, room.turn, 2)
    angle = np.linspace(first, last, frames)
    cosine, sine = np.abs(np.cos(np.radians(angle))), np.abs(np.sin(np.radians(angle)))
    half = np.stack(
        [size * (cosine * shape[0] + sine * shape[1]), size * (sine * shape[0] + cosine * shape[1])], axis=1
    )
    half /= 2
    drift = rng.uniform(-room.drift, room.drift, 2)
    swing = rng.uniform(0, 0.03, 2) * np.sin(2 * np.pi * (time[:, None] * rng.uniform(0.5, 2) + rng.random(2)))
    way = (time[:, None] - 0.5) * drift + swing
    margin = half * (1 - 2 * room.outside)
    low, high = (margin - way).max(axis=0), (1 - margin - way).min(axis=0)
    start = rng.random(2)
    # Where a long way has no room, the object goes back and forth less: the middle of the frame holds it.
    centre = np.where(high > low, low + start * (high - low), 0.5) + way
    centre = np.clip(centre, np.minimum(margin, 0.5), np.maximum(1 - margin, 0.5))
    return ObjectPaths(
        centre=centre, extent=size, angle=angle, box=np.concatenate([centre - half, centre + half], axis=1)
    )


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    """The greatest share, over the frames, of the smaller of two boxes that both cover."""
    low, high = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = [np.prod(box[:, 2:] - box[:, :2], axis=1) for box in (one, other)]
    return float((common / np.minimum(*areas)).max())
