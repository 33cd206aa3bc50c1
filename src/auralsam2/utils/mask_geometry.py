"""Connected components and interior point of masks."""

from __future__ import annotations

import numpy as np


def connected_components(mask: np.ndarray, min_area: int) -> list[np.ndarray]:
    """Cut a mask into its connected parts; pixels that touch at a side or a corner belong together.

    Args:
        mask: (H, W) bool.
        min_area: pixels that a part must have to count.

    Returns:
        (H, W) bool masks that do not overlap, the largest first, equal ones from top to bottom.
    """
    runs: list[tuple[int, int, int]] = []
    parent: list[int] = []
    above: list[int] = []
    for row, line in enumerate(mask):
        edges = np.flatnonzero(np.diff(line.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
        here: list[int] = []
        for first, end in edges.tolist():
            number = len(runs)
            runs.append((row, first, end))
            parent.append(number)
            here.append(number)
            for other in above:
                if runs[other][1] <= end and first <= runs[other][2]:
                    _join(parent, number, other)
        above = here
    members: dict[int, list[tuple[int, int, int]]] = {}
    for number, run in enumerate(runs):
        members.setdefault(_root(parent, number), []).append(run)
    sizes = {root: sum(end - first for _, first, end in own) for root, own in members.items()}
    found = []
    for root in sorted((root for root in members if sizes[root] >= min_area), key=lambda root: (-sizes[root], root)):
        part = np.zeros(mask.shape, np.bool_)
        for row, first, end in members[root]:
            part[row, first:end] = True
        found.append(part)
    return found


def interior_point(mask: np.ndarray) -> tuple[int, int]:
    """Find the pixel of a mask farthest from its border.

    The distance is the Chebyshev (king's move) distance; the edge of the image is border too. Of several pixels, the
    one nearest to their mean is taken; of several of these, the first in reading order.

    Args:
        mask: (H, W) bool, not empty.

    Returns:
        (row, column).
    """
    inner = mask
    while inner.any():
        mask = inner
        padded = np.pad(inner, 1)
        rows = padded[:-2] & padded[1:-1] & padded[2:]
        inner = rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]
    pixels = np.argwhere(mask)
    row, column = pixels[((pixels - pixels.mean(0)) ** 2).sum(1).argmin()].tolist()
    return row, column


def _root(parent: list[int], number: int) -> int:
    while parent[number] != number:
        parent[number] = parent[parent[number]]
        number = parent[number]
    return number


def _join(parent: list[int], one: int, other: int) -> None:
    """Under the run that comes first."""
    first, second = sorted((_root(parent, one), _root(parent, other)))
    parent[second] = first
