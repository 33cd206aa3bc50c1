"""Layout: positions and motion of the objects of a scene, independent of the audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auralsam2.stampavs.render import Pose

MIN_TWIN_DISTANCE = 0.3
"""Minimum distance in x of two objects of one category, in widths of the frame."""


@dataclass(frozen=True, kw_only=True)
class LayoutLimits:
    """Limits of layouts.

    Attributes:
        extents: minimum and maximum longer side of an object, in widths of the frame, by the number of objects from
            one; the last pair applies to more.
        overlap: maximum share of the smaller of two boxes that both cover.
        drift: maximum displacement in x and in y over a clip, in widths of the frame.
        turn: maximum angle from upright at the ends of a clip, in degrees.
        outside: maximum share of an object's box outside the frame, in x and in y.
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
    """Poses of one object in T frames, in widths of the frame.

    Attributes:
        centre: (T, 2) x and y.
        extent: (T,) longer side.
        angle: (T,) degrees.
        box: (T, 4) x0, y0, x1, y1 of the rotated box.
    """

    centre: np.ndarray
    extent: np.ndarray
    angle: np.ndarray
    box: np.ndarray

    def pose(self, frame: float) -> Pose:
        """Interpolate the pose linearly at a frame number; constant beyond the first and the last frame."""
        x, y, extent, angle = (
            float(np.interp(frame, np.arange(len(values)), values))
            for values in (*self.centre.T, self.extent, self.angle)
        )
        return Pose(x=x, y=y, extent=extent, angle=angle)


def draw_paths(
    shapes: Sequence[tuple[float, float]],
    frames: int,
    limits: LayoutLimits,
    rng: np.random.Generator,
    apart: tuple[int, int] | None = None,
) -> list[ObjectPaths]:
    """Draw a path of T frames for each object within the limits; objects are scaled down until all fit.

    `shapes` are width and height of each object, the longer one 1. `apart` are the numbers of two objects of one
    category that stay on different sides.
    """
    scale = 1.0
    while True:
        paths: list[ObjectPaths] = []
        for number, shape in enumerate(shapes):
            twins = [paths[other] for other in apart or () if apart and number in apart and other < number]
            path = _draw_path(shape, scale * limits.extent(len(shapes), rng), frames, limits, rng, paths, twins)
            if path is None:
                break
            paths.append(path)
        else:
            return paths
        scale *= 0.93


def _draw_path(
    shape: tuple[float, float],
    extent: float,
    frames: int,
    limits: LayoutLimits,
    rng: np.random.Generator,
    placed: Sequence[ObjectPaths],
    twins: Sequence[ObjectPaths],
) -> ObjectPaths | None:
    """Draw a path within the limits, in up to thirty attempts; None if all fail."""
    for _ in range(30):
        path = _sample_path(shape, extent, frames, limits, rng)
        crowded = any(_overlap(path.box, other.box) > limits.overlap for other in placed)
        close = any(np.abs(path.centre[:, 0] - twin.centre[:, 0]).min() < MIN_TWIN_DISTANCE for twin in twins)
        crossing = any(np.ptp(np.sign(path.centre[:, 0] - twin.centre[:, 0])) for twin in twins)
        if not (crowded or close or crossing):
            return path
    return None


def _sample_path(
    shape: tuple[float, float], extent: float, frames: int, limits: LayoutLimits, rng: np.random.Generator
) -> ObjectPaths:
    """Draw a linear drift with an oscillation, a slow rotation and a slow change of size."""
    time = np.linspace(0.0, 1.0, frames) if frames > 1 else np.zeros(1)
    size = extent * np.linspace(1.0, rng.uniform(0.85, 1.0), frames)[:: int(rng.choice([-1, 1]))]
    first, last = rng.uniform(-limits.turn, limits.turn, 2)
    angle = np.linspace(first, last, frames)
    cosine, sine = np.abs(np.cos(np.radians(angle))), np.abs(np.sin(np.radians(angle)))
    half = np.stack(
        [size * (cosine * shape[0] + sine * shape[1]), size * (sine * shape[0] + cosine * shape[1])], axis=1
    )
    half /= 2
    drift = rng.uniform(-limits.drift, limits.drift, 2)
    swing = rng.uniform(0, 0.03, 2) * np.sin(2 * np.pi * (time[:, None] * rng.uniform(0.5, 2) + rng.random(2)))
    motion = (time[:, None] - 0.5) * drift + swing
    margin = half * (1 - 2 * limits.outside)
    low, high = (margin - motion).max(axis=0), (1 - margin - motion).min(axis=0)
    start = rng.random(2)
    # If a long drift does not fit, the motion is clipped around the middle of the frame.
    centre = np.where(high > low, low + start * (high - low), 0.5) + motion
    centre = np.clip(centre, np.minimum(margin, 0.5), np.maximum(1 - margin, 0.5))
    return ObjectPaths(
        centre=centre, extent=size, angle=angle, box=np.concatenate([centre - half, centre + half], axis=1)
    )


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Return the maximum over the frames of the share of the smaller of two boxes that both cover."""
    low, high = np.maximum(first[:, :2], second[:, :2]), np.minimum(first[:, 2:], second[:, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = [np.prod(box[:, 2:] - box[:, :2], axis=1) for box in (first, second)]
    return float((common / np.minimum(*areas)).max())
