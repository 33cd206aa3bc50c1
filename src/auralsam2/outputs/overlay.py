"""Mask overlays: a tint inside, a two-tone outline along the edge."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from auralsam2.arguments import as_array
from auralsam2.errors import UsageError, quoted

COLOUR = (255, 64, 160)
"""RGB of the tint."""

OBJECT_COLOURS = (
    "#ff40a0",
    "#2fa8ff",
    "#ffb000",
    "#35d07f",
    "#a56bff",
    "#ff6a3d",
    "#16c7c7",
    "#e5e04a",
    "#ff8fc7",
    "#7d9bff",
    "#9be15d",
    "#d98cff",
)
"""Colours of objects 0, 1, …, repeated; that of object 0 is `COLOUR`."""

_OPACITY = 0.45
_LIGHT, _DARK = (255, 255, 255), (16, 16, 16)
_SHORT_SIDES_PER_PIXEL = 240  # pixels of the frame's shorter side per pixel of outline


def draw_overlay(image: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int] = COLOUR) -> np.ndarray:
    """Tint the object and outline it.

    The outline is a light line just inside the mask and a dark one just outside it, visible on any background. There is
    no line at the border of the frame. Other pixels are unchanged.

    Args:
        image: (H, W, 3) uint8 RGB; not modified.
        mask: (H, W); non-zero pixels are the object.
        colour: RGB of the tint, 8 bits per channel.

    Returns:
        (H, W, 3) uint8 RGB, a new array.

    Raises:
        UsageError: image and mask differ in size, or an argument has another type.
    """
    image, mask = as_array("image", image), as_array("mask", mask) != 0
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise UsageError(f"`image` of {image.dtype} {image.shape}: give (H, W, 3) uint8 RGB")
    colour = _colour(colour)
    if image.shape[:2] != mask.shape:
        raise UsageError(f"an image of {image.shape[:2]} and a mask of {mask.shape} pixels (H, W) do not fit")
    overlay = image.copy()
    width = outline_width(*mask.shape)
    dark_width = max(1, width // 3)
    region = _surroundings(mask, width)
    if region is None:
        return overlay

    inside = mask[region]
    light = inside & _grow(~inside, width - dark_width)
    dark = _grow(inside, dark_width) & ~inside
    picture = Image.fromarray(np.ascontiguousarray(image[region]))
    picture.paste(colour, mask=_alpha(inside, _OPACITY))
    picture.paste(_LIGHT, mask=_alpha(light, 1.0))
    picture.paste(_DARK, mask=_alpha(dark, 1.0))
    overlay[region] = np.asarray(picture)
    return overlay


def draw_label(image: np.ndarray, mask: np.ndarray, label: str, colour: tuple[int, int, int] = COLOUR) -> np.ndarray:
    """Write the category of an object above it, white on its colour.

    Args:
        image: (H, W, 3) uint8 RGB; not modified.
        mask: (H, W) bool.
        label: the category; empty for none.
        colour: RGB of the background of the text.

    Returns:
        (H, W, 3) uint8 RGB; `image` itself without a label or with an empty mask.
    """
    if not label or not mask.any():
        return image
    height, width = mask.shape
    font = ImageFont.load_default(max(10, min(height, width) // 24))
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    left, top, right, bottom = draw.textbbox((0, 0), label, font=font)
    margin = 2
    x = min(int(columns[0]), max(0, width - int(right - left) - 2 * margin))
    y = max(0, int(rows[0]) - int(bottom - top) - 2 * margin)
    draw.rectangle((x, y, x + right - left + 2 * margin, y + bottom - top + 2 * margin), fill=colour)
    draw.text((x + margin - left, y + margin - top), label, fill=_LIGHT, font=font)
    return np.asarray(picture).copy()


def _colour(colour: Any) -> tuple[int, int, int]:
    channels = as_array("colour", colour)
    if channels.shape != (3,) or channels.min() < 0 or channels.max() > 255:
        raise UsageError(f"`colour={quoted(colour)}`: give red, green and blue, 0 to 255")
    red, green, blue = (int(channel) for channel in channels)
    return red, green, blue


def object_colour(number: int) -> tuple[int, int, int]:
    """Return the RGB colour of an object in overlays."""
    red, green, blue = bytes.fromhex(OBJECT_COLOURS[number % len(OBJECT_COLOURS)][1:])
    return red, green, blue


def outline_width(height: int, width: int) -> int:
    """Return the width of the outline, light and dark line together, in pixels: 2 at 480p, 3 at 720p."""
    return max(2, min(height, width) // _SHORT_SIDES_PER_PIXEL)


def _surroundings(mask: np.ndarray, margin: int) -> tuple[slice, slice] | None:
    """Return the part of the frame that the overlay changes; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    return slice(top, rows[-1] + 1 + margin), slice(left, columns[-1] + 1 + margin)


def _grow(mask: np.ndarray, radius: int) -> np.ndarray:
    """Dilate by `radius` pixels, with cross and square in turn, which yields an octagon."""
    for step in range(radius):
        grown = mask.copy()
        grown[1:] |= mask[:-1]
        grown[:-1] |= mask[1:]
        sideways = grown.copy() if step % 2 else mask
        grown[:, 1:] |= sideways[:, :-1]
        grown[:, :-1] |= sideways[:, 1:]
        mask = grown
    return mask


def _alpha(mask: np.ndarray, opacity: float) -> Image.Image:
    return Image.fromarray(mask * np.uint8(round(255 * opacity)))
