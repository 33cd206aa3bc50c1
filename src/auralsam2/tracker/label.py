"""A mask that the user gives, as the file has it; needs no torch, so that it is checked before any model is loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from auralsam2.errors import InputError


def read_label(path: Path, width: int, height: int) -> np.ndarray:
    """Read the picture of a mask.

    Args:
        path: an 8-bit picture, in any form that Pillow reads.
        width: of the video's frames, in pixels.
        height: the same.

    Returns:
        (height, width) uint8; what is not 0 is the object.

    Raises:
        InputError: the file cannot be read, or has another size than the video's frames.
    """
    try:
        with Image.open(path) as picture:
            size = picture.size
            # Told by the header, before a picture of another size takes memory.
            label = np.array(picture.convert("L")) if size == (width, height) else None
    # Pillow lets what its decoders stumble over in a damaged file through as it is.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: cannot be read as a mask: give an 8-bit PNG") from error
    if label is None:
        raise InputError(
            f"{path}: mask of {size[0]}x{size[1]} pixels, the video has {width}x{height}: give one of the frame's size"
        )
    return label
