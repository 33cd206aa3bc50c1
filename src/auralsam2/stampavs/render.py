"""Rendering: backgrounds, composition of stamps, and the visible pixels of each stamp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

BACKGROUNDS = ("plain", "gradient", "texture", "clutter")


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Pose of a stamp in one frame.

    Attributes:
        x, y: centre in widths of the frame; 0 is the left and the upper edge.
        extent: longer side in widths of the frame.
        angle: degrees, anticlockwise.
    """

    x: float
    y: float
    extent: float
    angle: float


class Cutout:
    """Stamp (h, w, 4) uint8 for one clip: resized once to `side` pixels, then rotated and scaled for each frame.

    `tone` multiplies its colours.
    """

    def __init__(self, pixels: np.ndarray, side: float, *, mirrored: bool = False, tone: float = 1.0) -> None:
        image = Image.fromarray(np.ascontiguousarray(pixels[:, ::-1]) if mirrored else pixels, "RGBA")
        ratio = side / max(image.size)
        self.size = (max(2, round(ratio * image.width)), max(2, round(ratio * image.height)))
        method = Image.Resampling.BICUBIC if ratio > 1 else Image.Resampling.LANCZOS
        if tone != 1.0:
            table = [min(255, round(tone * value)) for value in range(256)]
            image = image.point(3 * table + list(range(256)))
        self._image = image.convert("RGBa").resize(self.size, method, reducing_gap=2.0)

    def pose(self, scale: float, angle: float, x: float, y: float) -> tuple[np.ndarray, int, int]:
        """Rotate the stamp anticlockwise by `angle` degrees about its centre x, y, and scale it by at most 1.

        Returns:
            (h, w, 4) uint8 with premultiplied alpha, and column and row of its upper left pixel, which may be negative.
        """
        cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        width, height = self.size
        half_w = scale * (abs(cosine) * width + abs(sine) * height) / 2 + 1
        half_h = scale * (abs(sine) * width + abs(cosine) * height) / 2 + 1
        min_x, min_y = int(np.floor(x - half_w)), int(np.floor(y - half_h))
        box = (int(np.ceil(x + half_w)) - min_x, int(np.ceil(y + half_h)) - min_y)
        # Inverse map, from a pixel of the result to one of the stamp.
        a, b = cosine / scale, -sine / scale
        d, e = sine / scale, cosine / scale
        offset_x, offset_y = x - min_x, y - min_y
        c = width / 2 - a * offset_x - b * offset_y
        f = height / 2 - d * offset_x - e * offset_y
        rotated = self._image.transform(
            box, Image.Transform.AFFINE, (a, b, c, d, e, f), resample=Image.Resampling.BILINEAR
        )
        return np.asarray(rotated), min_x, min_y


def compose_frame(
    background: np.ndarray, cutouts: Sequence[Cutout], poses: Sequence[Pose], largest: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compose stamps, from back to front, over a background (S, S, 3) uint8.

    `largest` is the extent, in widths of the frame, for which each stamp was prepared.

    Returns:
        the image, (S, S, 3) uint8; the visible pixels of each stamp, (n, S, S) bool, disjoint: its alpha is above one
        half, and that of no stamp in front is; and the number of pixels of each stamp without occlusion, (n,) int.
    """
    side = background.shape[0]
    picture = background.copy()
    owner = np.full((side, side), -1, dtype=np.int8)
    unoccluded = np.zeros(len(cutouts), dtype=np.int64)
    for number, (cutout, pose, extent) in enumerate(zip(cutouts, poses, largest, strict=True)):
        patch, min_x, min_y = cutout.pose(pose.extent / extent, pose.angle, pose.x * side, pose.y * side)
        rows = slice(max(0, min_y), max(0, min(side, min_y + patch.shape[0])))
        columns = slice(max(0, min_x), max(0, min(side, min_x + patch.shape[1])))
        part = patch[rows.start - min_y : rows.stop - min_y, columns.start - min_x : columns.stop - min_x]
        unoccluded[number] = np.count_nonzero(patch[..., 3] > 127)
        alpha = part[..., 3]
        below = picture[rows, columns]
        transparency = (255 - alpha.astype(np.uint16))[..., None]
        picture[rows, columns] = np.minimum(part[..., :3] + (below * transparency + 127) // 255, 255)
        owner[rows, columns][alpha > 127] = number
    return picture, owner == np.arange(len(cutouts), dtype=np.int8)[:, None, None], unoccluded


def draw_background(kind: str, side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a background of one of the kinds in `BACKGROUNDS`, (side, side, 3) uint8."""
    if kind == "plain":
        return np.broadcast_to(_colour(rng).astype(np.uint8), (side, side, 3)).copy()
    if kind == "gradient":
        return _gradient(side, rng)
    if kind == "texture":
        return _texture(side, rng)
    if kind == "clutter":
        return _clutter(side, rng)
    raise ValueError(f"background {kind!r} is none of {', '.join(BACKGROUNDS)}")


def _colour(rng: np.random.Generator) -> np.ndarray:
    """Draw a colour on which black and white stamps are visible: (3,) float, mean 70 to 210."""
    grey = rng.uniform(80, 200)
    return np.clip(grey + rng.uniform(-45, 45, 3), 30, 235)


def _gradient(side: int, rng: np.random.Generator) -> np.ndarray:
    first, second = _colour(rng), _colour(rng)
    line = (np.arange(side, dtype=np.float32) + 0.5) / side
    if rng.random() < 0.7:
        angle = rng.uniform(0, 2 * np.pi)
        slope = np.cos(angle) * (line[None, :] - 0.5) + np.sin(angle) * (line[:, None] - 0.5) + 0.5
    else:
        x, y = rng.uniform(0, 1, 2)
        slope = np.hypot(line[None, :] - x, line[:, None] - y)
    slope = np.clip(slope, 0, 1)[..., None]
    return (first * (1 - slope) + second * slope).astype(np.uint8)


def _texture(side: int, rng: np.random.Generator) -> np.ndarray:
    cells = int(rng.integers(2, 5))
    sheet = np.zeros((side, side), dtype=np.float32)
    for octave in range(4):
        count = cells * 2**octave * np.array([1, int(rng.integers(1, 3))])
        values = Image.fromarray(rng.random((count[0], count[1]), dtype=np.float32), "F")
        sheet += np.asarray(values.resize((side, side), Image.Resampling.BICUBIC)) * 0.6**octave
    low, high = sheet.min(), sheet.max()
    share = ((sheet - low) / max(high - low, 1e-6))[..., None]
    first, second = _colour(rng), _colour(rng)
    return (first * (1 - share) + second * share).astype(np.uint8)


def _clutter(side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw blurred coloured shapes over a texture."""
    image = Image.fromarray(_texture(side, rng))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(18, 40))):
        colour = tuple(int(value) for value in _colour(rng))
        x, y = rng.uniform(0, side, 2)
        width, height = rng.uniform(0.03, 0.22, 2) * side
        form = int(rng.integers(4))
        if form == 0:
            draw.ellipse((x - width, y - height, x + width, y + height), fill=colour)
        elif form == 1:
            draw.rectangle((x - width, y - height, x + width, y + height), fill=colour)
        elif form == 2:
            corners = rng.uniform(-0.2, 0.2, (int(rng.integers(3, 7)), 2)) * side + (x, y)
            draw.polygon([tuple(corner) for corner in corners], fill=colour)
        else:
            ends = (*(rng.uniform(0, side, 2)), x, y)
            draw.line([float(end) for end in ends], fill=colour, width=max(1, round(0.02 * side)))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(side / 256)))
