"""Pictures and label files, opened whole."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from auralsam2.errors import InputError
from auralsam2.media.container import MAX_PIXELS

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
"""What pillow raises for files that are damaged in one way or another."""


def read_frame(path: Path) -> np.ndarray:
    """A frame; notes on its orientation are ignored, as the labels were drawn without them.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: the file cannot be read whole.
    """
    return np.array(_open(path, "RGB"))


def read_grey(path: Path) -> np.ndarray:
    """A label as grey values; what is not 0 is the object, whether the file has 1 bit, 8 bits, a palette or colours.

    Returns:
        (H, W) uint8.

    Raises:
        InputError: the file cannot be read whole.
    """
    return np.array(_open(path, "L"))


def read_values(path: Path) -> np.ndarray:
    """A label as stored, of one channel; a palette is ignored.

    Returns:
        (H, W) uint8.

    Raises:
        InputError: the file cannot be read whole, or has several channels or more than 8 bits.
    """
    picture = _open(path, None)
    if picture.mode not in ("L", "P"):
        raise InputError(f"{path}: pixels of mode {picture.mode}, a label has one channel of 8 bits")
    return np.array(picture)


def _open(path: Path, mode: str | None) -> Image.Image:
    """A picture decoded to its end, converted to the mode where one is given."""
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise InputError(f"{path}: {picture.width} x {picture.height} pixels are too many")
            picture.load()
            return picture.convert(mode) if mode else picture.copy()
    except _DAMAGE as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"{path}: not a picture, or damaged ({' '.join(reason.split())})") from error
