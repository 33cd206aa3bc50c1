"""Painted masks as PNG in base64."""

from __future__ import annotations

import base64
import binascii
import io

import numpy as np
from PIL import Image

from auralsam2.errors import UsageError


def read_png(text: str, width: int, height: int) -> np.ndarray:
    """Decode a painted mask.

    Args:
        text: PNG of at most the frame's size, as base64.
        width: width of the frame in pixels.
        height: height of the frame in pixels.

    Returns:
        (height, width) uint8, 255 for the object.

    Raises:
        UsageError: the text is no such PNG, or the mask is empty.
    """
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"]) as picture:
            # Size from the header, before a larger image takes memory.
            if picture.width > width or picture.height > height:
                raise UsageError(f"a painted mask of {picture.width}x{picture.height}: give {width}x{height} or less")
            mask = picture.convert("L").resize((width, height), Image.Resampling.BILINEAR)
    except (binascii.Error, OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise UsageError("the painted mask is no PNG: paint it again") from error
    painted = (np.asarray(mask) >= 128) * np.uint8(255)
    if not painted.any():
        raise UsageError("nothing is painted: draw over the object first")
    return painted


def write_png(mask: np.ndarray) -> str:
    """Encode an (H, W) bool mask."""
    data = io.BytesIO()
    Image.fromarray(mask).save(data, format="PNG")
    return base64.b64encode(data.getvalue()).decode()
