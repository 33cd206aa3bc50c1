"""Compressed run-length encoding of masks, as in COCO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
from pycocotools import mask as coco


class Rle(TypedDict):
    """Mask in COCO's compressed run lengths: `size` is [H, W], `counts` the runs in column-major order, as ASCII."""

    size: list[int]
    counts: str


def encode_rle(mask: np.ndarray) -> Rle:
    """Encode a mask as run lengths.

    Args:
        mask: (H, W) bool.

    Raises:
        ValueError: the mask is not a bool array of two dimensions.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise ValueError(f"a mask is (H, W) bool, not {mask.shape} {mask.dtype}")
    coded: Any = coco.encode(np.asfortranarray(mask.view(np.uint8)))
    return Rle(size=[int(side) for side in coded["size"]], counts=coded["counts"].decode("ascii"))


def decode_rle(rle: Rle) -> np.ndarray:
    """Decode run lengths to a mask.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: the runs do not fill the size.
    """
    mask = np.asarray(coco.decode(_coded(rle))).astype(np.bool_, order="C")
    # For too short a list of runs, the library leaves pixels uninitialised.
    if encode_rle(mask) != rle:
        height, width = rle["size"]
        raise ValueError(f"these run lengths are not a mask of {width}x{height} pixels")
    return mask


def encode_polygons(polygons: Sequence[Sequence[float]], height: int, width: int) -> Rle:
    """Encode the union of polygons of COCO, [x0, y0, x1, y1, …] in pixels; points outside are moved to the border.

    Raises:
        ValueError: a polygon has fewer than three points, or half a point.
    """
    limited = []
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise ValueError(f"a polygon of {len(polygon)} numbers")
        points = np.asarray(polygon, np.float64).reshape(-1, 2).clip(0, (width, height))
        limited.append(points.ravel().tolist())
    merged: Any = coco.merge(coco.frPyObjects(limited, height, width))  # pyright: ignore[reportArgumentType]
    return Rle(size=[int(side) for side in merged["size"]], counts=merged["counts"].decode("ascii"))


def rle_area(rle: Rle) -> int:
    """Return the number of pixels in the mask."""
    return int(coco.area(_coded(rle)))


def merge_rles(rles: Sequence[Rle]) -> Rle:
    """Return the union of masks of one size.

    Raises:
        ValueError: there is no mask.
    """
    if not rles:
        raise ValueError("the union of no masks has no size")
    merged: Any = coco.merge([_coded(rle) for rle in rles])
    return Rle(size=[int(side) for side in merged["size"]], counts=merged["counts"].decode("ascii"))


def bounding_box(rle: Rle) -> list[float]:
    """Return the smallest box around the mask: [x, y, width, height] in pixels, all 0 for an empty mask."""
    return [float(value) for value in coco.toBbox(_coded(rle))]


def _coded(rle: Rle) -> Any:
    return {"size": rle["size"], "counts": rle["counts"].encode("ascii")}
