"""Label images in the format of DAVIS: one value per object, with its palette."""

from __future__ import annotations

from collections.abc import Mapping
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


def label_image(
    masks: Mapping[int, np.ndarray], height: int, width: int, dtype: type[np.unsignedinteger] = np.uint8
) -> np.ndarray:
    """Merge masks into one label image.

    Args:
        masks: (height, width) bool, by value; the later one covers the earlier. 0 is the background.
        height: height of the image in pixels.
        width: width of the image in pixels.
        dtype: type of the image.

    Returns:
        (height, width) of `dtype`.
    """
    image = np.zeros((height, width), dtype)
    for value, mask in masks.items():
        image[mask] = value
    return image


def save_davis(picture: np.ndarray, file: Path | IO[bytes]) -> None:
    """Write a (H, W) uint8 label image as a PNG with the palette of DAVIS.

    Raises:
        OSError: the file cannot be written.
    """
    image = Image.fromarray(picture)
    image.putpalette(davis_palette())
    image.save(file, format="PNG")
