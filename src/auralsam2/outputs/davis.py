"""Label images in the format of DAVIS: one value per object, with its palette."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

MAX_OBJECTS = 255
"""Maximum number of objects in a label image; 0 is the background."""


def davis_palette() -> list[int]:
    """Return the 256 RGB colours of PASCAL VOC and DAVIS: bits 3 i + c of a value are bit 7 - i of channel c."""
    values = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((values >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    return colours.flatten().tolist()


def davis_labels(masks: Iterable[np.ndarray], height: int, width: int) -> np.ndarray:
    """Merge the masks of all objects into one label image.

    Args:
        masks: (height, width) bool, of objects 1, 2, …; the later one covers the earlier.
        height: height of the image in pixels.
        width: width of the image in pixels.

    Returns:
        (height, width) uint8.

    Raises:
        ValueError: more than `MOST` objects.
    """
    picture = np.zeros((height, width), np.uint8)
    for value, mask in enumerate(masks, 1):
        if value > MAX_OBJECTS:
            raise ValueError(f"a palette picture holds {MAX_OBJECTS} objects at most")
        picture[mask] = value
    return picture


def save_davis(picture: np.ndarray, file: Path | IO[bytes]) -> None:
    """Write a (H, W) uint8 label image as a PNG with the palette of DAVIS.

    Raises:
        OSError: the file cannot be written.
    """
    image = Image.fromarray(picture)
    image.putpalette(davis_palette())
    image.save(file, format="PNG")
