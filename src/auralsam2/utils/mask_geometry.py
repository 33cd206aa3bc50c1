"""Connected components and interior point of masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

_SQUARE = ndimage.generate_binary_structure(2, 2)


def connected_components(mask: np.ndarray, min_area: int) -> list[np.ndarray]:
    """Split a mask into its 8-connected components.

    Args:
        mask: (H, W) bool.
        min_area: pixels that a component needs to be returned.

    Returns:
        (H, W) bool masks, the largest first; components of equal area in the order of their first rows.
    """
    labelled: Any = ndimage.label(mask, _SQUARE)
    labels, count = labelled
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-areas, kind="stable")
    return [labels == index + 1 for index in order if areas[index] >= min_area]


def interior_point(mask: np.ndarray) -> tuple[int, int]:
    """Find the pixel of a mask farthest from its border.

    The distance is the Chebyshev (king's move) distance; the edge of the image is border too. Of several pixels, the
    one nearest to their mean is taken; of several of these, the first in reading order.

    Args:
        mask: (H, W) bool, not empty.

    Returns:
        (row, column).
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    min_y, min_x = int(rows[0]), int(columns[0])
    cropped = np.pad(mask[min_y : rows[-1] + 1, min_x : columns[-1] + 1], 1)
    distance: Any = ndimage.distance_transform_cdt(cropped, "chessboard")
    pixels = np.argwhere(distance == distance.max()) - 1
    # Times the number of pixels: whole numbers, so that equal distances are equal.
    from_mean = (len(pixels) * pixels - pixels.sum(0)).astype(np.longdouble)
    row, column = pixels[(from_mean**2).sum(1).argmin()].tolist()
    return min_y + row, min_x + column
