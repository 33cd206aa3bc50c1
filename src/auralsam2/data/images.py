"""Read images and label files."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from auralsam2.errors import InputError
from auralsam2.media.container import MAX_PIXELS

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
"""Exceptions of Pillow for damaged files."""


def read_frame(path: Path) -> np.ndarray:
    """Read a frame; the EXIF orientation is ignored, as in the labels.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: the file cannot be read whole.
    """
    return np.array(_open(path, "RGB"))


def read_grey(path: Path) -> np.ndarray:
    """Read a label as grey values, not 0 on the object, of a file with 1 bit, 8 bits, a palette or colours.

    Returns:
        (H, W) uint8.

    Raises:
        InputError: the file cannot be read whole.
    """
    return np.array(_open(path, "L"))


def read_pixel_values(path: Path) -> np.ndarray:
    """Read the values of a one-channel label as stored; a palette is ignored.

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
    """Decode an image completely, and convert it to `mode` if given."""
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise InputError(f"{path}: {picture.width} x {picture.height} pixels are too many")
            picture.load()
            return picture.convert(mode) if mode else picture.copy()
    except _DAMAGE as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"{path}: not a picture, or damaged ({' '.join(reason.split())})") from error
