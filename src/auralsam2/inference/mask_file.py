"""Mask of an object from an image file."""

from __future__ import annotations

import numpy as np
from PIL import Image

from auralsam2.errors import InputError, UsageError
from auralsam2.types import Mask

_MAX_LABELS = 16
"""Number of distinct values above which an image is a soft mask rather than a label image."""
_MAX_TINT = 24
"""Largest difference between the channels of a grey pixel after lossy compression."""
_LOSSY = {"JPEG", "MPO"}


def read_mask_file(mask: Mask, width: int, height: int) -> np.ndarray:
    """Read the mask of an object.

    The object is, in this order: the opaque part of an image with transparency; the pixels of `mask.value` or, without
    it, the only value other than 0 of a palette image (as DAVIS writes it) or of a grey image; or the part of a soft
    grey image, or of a JPEG, that is brighter than half of its brightest pixel.

    Args:
        mask: the file, in a format that Pillow reads, and the value of the object in it.
        width: of the frames, in pixels.
        height: of the frames, in pixels.

    Returns:
        (height, width) bool.

    Raises:
        InputError: the file cannot be read, has another size than the frames, or shows no mask.
        UsageError: it holds several objects, and `mask.value` does not choose one.
    """
    path = mask.path
    try:
        with Image.open(path) as picture:
            size = picture.size
            # The header gives the size, so that an image of another size is not decoded.
            label = _object(picture, mask) if size == (width, height) else None
    # Pillow raises errors of many types for damaged files.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: cannot be read as a mask: give an 8-bit PNG") from error
    if label is None:
        raise InputError(
            f"{path}: mask of {size[0]}x{size[1]} pixels, the video has {width}x{height}: give one of the frame's size"
        )
    if not label.any():
        which = "" if mask.value is None else f" of value {mask.value}"
        raise InputError(f"{path}: the mask{which} is empty: mark the pixels of the object")
    return label


def _object(picture: Image.Image, mask: Mask) -> np.ndarray:
    """Return the pixels of the object, (H, W) bool."""
    if mask.value is None and picture.has_transparency_data:
        alpha = np.asarray(picture.convert("RGBA"))[..., 3]
        if alpha.min() < 128:
            return alpha >= 128
    values = np.asarray(picture) if picture.mode == "P" and not _is_grey(picture) else _grey(picture, mask)
    if mask.value is not None:
        return values == mask.value
    present = np.unique(values[values != 0])
    if picture.format in _LOSSY or len(present) > _MAX_LABELS:
        if len(present) and present[-1] < 64:
            raise InputError(f"{mask.path}: too dark for a mask with soft edges: give a PNG with values 0 and 255")
        return values > 0.5 * values.max()
    if len(present) > 1:
        names = ", ".join(f"{value:g}" for value in present)
        raise UsageError(
            f"{mask.path}: holds the values {names}, several objects: choose one, as "
            f"{mask.path}#{present[-1]:g} on the command line or value={present[-1]:g} in Python"
        )
    return values != 0


def _is_grey(picture: Image.Image) -> bool:
    """Whether all colours that a palette image uses are grey; their order is then arbitrary."""
    colours = picture.convert("RGB").getcolors(_MAX_LABELS * _MAX_LABELS) or []
    return all(isinstance(colour, tuple) and len(set(colour)) == 1 for _, colour in colours)


def _grey(picture: Image.Image, mask: Mask) -> np.ndarray:
    """Return the values of a grey image, (H, W)."""
    if picture.mode in ("L", "1", "F") or picture.mode.startswith("I"):
        return np.asarray(picture).astype(np.float64)
    channels = np.asarray(picture.convert("RGB")).astype(np.float64)
    if np.ptp(channels, axis=2).max() <= _MAX_TINT:
        return channels.max(axis=2)
    colours = np.unique(channels.reshape(-1, 3), axis=0)
    if len(colours) == 2 and not colours[0].any():
        return channels.max(axis=2)  # one colour on black
    raise InputError(f"{mask.path}: a picture of several colours, not a mask: give a grey, palette or transparent PNG")
