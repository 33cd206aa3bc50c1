"""Pictures of labels as DAVIS has them: one value an object, with the palette by which viewers tell them apart."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

MOST = 255
"""Objects that a picture can hold beside the ground, which is 0."""


def davis_palette() -> list[int]:
    """The 256 colours of PASCAL VOC and DAVIS, RGB one after the other: bits 3 i + c of a value are bit 7 - i of c."""
    values = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((values >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    return colours.flatten().tolist()


def davis_labels(masks: Iterable[np.ndarray], height: int, width: int) -> np.ndarray:
    """One picture of all objects.

    Args:
        masks: (height, width) bool, of objects 1, 2, …; where they overlap, the later one counts.
        height: of the picture.
        width: the same.

    Returns:
        (height, width) uint8.

    Raises:
        ValueError: more than `MOST` objects.
    """
    picture = np.zeros((height, width), np.uint8)
    for value, mask in enumerate(masks, 1):
        if value > MOST:
            raise ValueError(f"a palette picture holds {MOST} objects at most")
        picture[mask] = value
    return picture


def save_davis(picture: np.ndarray, file: Path | IO[bytes]) -> None:
    """Write a (H, W) uint8 picture of labels as a PNG with a palette.

    Raises:
        OSError: the file cannot be written.
    """
    image = Image.fromarray(picture)
    image.putpalette(davis_palette())
    image.save(file, format="PNG")
