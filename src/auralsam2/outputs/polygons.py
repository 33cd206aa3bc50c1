"""Masks as polygons through the centres of their border pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy.spatial.distance import cdist

_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # right, down, left, up
_LEAST_IOU = 0.98
_LEAST_TOLERANCE = 0.1


def mask_polygon(mask: np.ndarray, tolerance: float = 0.0) -> np.ndarray:
    """Return a mask as one closed polygon.

    Separate parts and holes are joined by cuts of no width, so that the even-odd rule fills the mask. Filled together
    with its outline, as by OpenCV's `fillPoly`, the polygon of a mask of one part with tolerance 0 covers exactly the
    mask; cuts between parts add a line of one pixel. For small or thin masks, the tolerance is halved until the polygon
    fits.

    Args:
        mask: (H, W) bool, not empty.
        tolerance: greatest distance, in pixels, of a border pixel from the polygon (Douglas and Peucker 1973).

    Returns:
        (N, 2) float64, x and y, N >= 3; (0, 0) is the centre of the upper left pixel.

    Raises:
        ValueError: the mask is empty.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        raise ValueError("an empty mask has no polygon")
    cropped = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    rings = sorted(map(_inset, border_rings(cropped)), key=len, reverse=True)
    polygon = _joined(rings, tolerance)
    while tolerance > _LEAST_TOLERANCE and not _fits(polygon, cropped):
        tolerance /= 2
        polygon = _joined(rings, tolerance if tolerance > _LEAST_TOLERANCE else 0.0)
    return polygon + np.array([columns[0], rows[0]])


def _joined(rings: list[np.ndarray], tolerance: float) -> np.ndarray:
    polygon, *others = (simplify_ring(ring, tolerance) for ring in rings)
    for ring in others:
        at, begin = np.unravel_index(cdist(polygon, ring).argmin(), (len(polygon), len(ring)))
        loop = np.concatenate([np.roll(ring, -begin, axis=0), ring[begin : begin + 1]])
        polygon = np.concatenate([polygon[: at + 1], loop, polygon[at:]])
    return np.resize(polygon, (3, 2)) if len(polygon) < 3 else polygon


def _fits(polygon: np.ndarray, mask: np.ndarray) -> bool:
    image = Image.new("L", mask.shape[::-1])
    ImageDraw.Draw(image).polygon([(x, y) for x, y in polygon.tolist()], fill=1, outline=1)
    filled = np.asarray(image) > 0
    return (filled & mask).sum() >= _LEAST_IOU * (filled | mask).sum()


def border_rings(mask: np.ndarray) -> list[np.ndarray]:
    """Trace the border of a mask along the edges of its pixels.

    Args:
        mask: (H, W) bool.

    Returns:
        closed rings, (N, 2) int64: the corners, x and y in pixels; (0, 0) is the upper left corner of the image. The
        mask is on the right-hand side, so that outer rings run clockwise. Pixels that touch at a corner belong to
        different rings.
    """
    padded = np.pad(mask, 1).astype(np.int8)
    down, right = np.diff(padded, axis=0)[:, 1:-1], np.diff(padded, axis=1)[1:-1]
    successors: dict[tuple[int, int], list[int]] = {}
    # Directions of the edges: 0 and 2 along the upper and lower side of pixels, 1 and 3 along the right and left side.
    for direction, (rows, columns), shift in (
        (0, np.nonzero(down == 1), (0, 0)),
        (2, np.nonzero(down == -1), (1, 0)),
        (1, np.nonzero(right == -1), (0, 0)),
        (3, np.nonzero(right == 1), (0, 1)),
    ):
        for x, y in zip((columns + shift[0]).tolist(), (rows + shift[1]).tolist(), strict=True):
            successors.setdefault((x, y), []).append(direction)
    rings = []
    while successors:
        start = next(iter(successors))
        point, direction = start, successors[start][0]
        ring = []
        while True:
            choices = successors[point]
            # A right turn stays on the pixel.
            turn = next(way for way in ((direction + 1) % 4, direction, (direction - 1) % 4) if way in choices)
            choices.remove(turn)
            if not choices:
                del successors[point]
            if turn != direction or not ring:
                ring.append(point)
            direction = turn
            point = (point[0] + _STEPS[turn][0], point[1] + _STEPS[turn][1])
            if point == start and (point not in successors or (direction + 1) % 4 not in successors[point]):
                break
        rings.append(_corners(np.array(ring)))
    return rings


def simplify_ring(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """Remove points of a closed ring that are at most `tolerance` pixels from the line between their neighbours."""
    if len(ring) < 4:
        return ring
    far = int(np.linalg.norm(ring - ring[0], axis=1).argmax())
    closed = np.concatenate([ring, ring[:1]])
    keep = np.zeros(len(closed), np.bool_)
    keep[[0, far]] = True
    pending = [(0, far), (far, len(ring))]
    while pending:
        first, last = pending.pop()
        if last - first < 2:
            continue
        distances = _distances(closed[first + 1 : last], closed[first], closed[last])
        worst = int(distances.argmax())
        if distances[worst] > tolerance:
            middle = first + 1 + worst
            keep[middle] = True
            pending += [(first, middle), (middle, last)]
    return ring[keep[:-1]]


def _distances(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the distances of points from a line segment."""
    direction = (end - start).astype(np.float64)
    length = float(direction @ direction)
    offsets = points - start
    along = np.clip(offsets @ direction / length, 0, 1) if length else np.zeros(len(points))
    return np.linalg.norm(offsets - along[:, None] * direction, axis=1)


def _corners(ring: np.ndarray) -> np.ndarray:
    """Remove points at which a rectilinear ring does not turn."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return ring[(before * after).sum(1) == 0]


def _inset(ring: np.ndarray) -> np.ndarray:
    """Move the corners of a rectilinear ring to the centres of the border pixels on its right-hand side."""
    after = np.sign(np.roll(ring, -1, axis=0) - ring)
    before = np.roll(after, 1, axis=0)
    # The normal to the right of (x, y), with y downwards, is (-y, x).
    normals = np.stack([-before[:, 1] - after[:, 1], before[:, 0] + after[:, 0]], axis=1)
    return ring + 0.5 * normals - 0.5
