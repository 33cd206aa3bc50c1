"""Connected parts of masks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from auralsam2.utils.mask_geometry import connected_components, interior_point

MASKS = arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def flooded(mask: np.ndarray) -> list[set[tuple[int, int]]]:
    """The parts by flooding, pixel by pixel."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    found = []
    while left:
        edge = [left.pop()]
        part = set(edge)
        while edge:
            row, column = edge.pop()
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            part |= near
            edge += near
        found.append(part)
    return found


def pixels(mask: np.ndarray) -> set[tuple[int, int]]:
    return {(int(row), int(column)) for row, column in np.argwhere(mask)}


@given(MASKS, st.integers(1, 4))
def test_parts_are_those_that_a_flood_finds(mask: np.ndarray, least: int) -> None:
    found = connected_components(mask, least)
    expected = [part for part in flooded(mask) if len(part) >= least]
    assert sorted(map(sorted, map(pixels, found))) == sorted(map(sorted, expected))
    assert [part.sum() for part in found] == sorted((part.sum() for part in found), reverse=True)


def test_runs_that_meet_later_are_one() -> None:
    comb = np.array([[1, 0, 1, 0, 1], [1, 0, 1, 0, 1], [1, 1, 1, 1, 1]], np.bool_)
    (part,) = connected_components(comb, 1)
    assert np.array_equal(part, comb)


def test_the_middle_of_a_square_and_of_one_pixel() -> None:
    mask = np.zeros((9, 12), np.bool_)
    mask[1:8, 3:10] = True
    assert interior_point(mask) == (4, 6)
    assert interior_point(mask & (np.indices(mask.shape).sum(0) == 4)) == (1, 3)


@given(MASKS.filter(np.any))
def test_the_middle_lies_inside(mask: np.ndarray) -> None:
    assert mask[interior_point(mask)]
