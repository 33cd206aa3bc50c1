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


def rectangle(rows: slice, columns: slice, size: int = 32) -> np.ndarray:
    mask = np.zeros((size, size), np.bool_)
    mask[rows, columns] = True
    return mask


def test_interior_point_of_a_square_and_of_one_pixel() -> None:
    assert interior_point(rectangle(slice(4, 13), slice(10, 19))) == (8, 14)
    assert interior_point(rectangle(slice(5, 6), slice(7, 8))) == (5, 7)


def test_the_edge_of_the_image_is_border() -> None:
    assert interior_point(np.ones((9, 9), np.bool_)) == (4, 4)
    assert interior_point(rectangle(slice(0, 7), slice(3, 10)) | rectangle(slice(12, 15), slice(3, 32))) == (3, 6)


def test_the_thicker_of_two_components_has_the_interior_point() -> None:
    mask = rectangle(slice(0, 3), slice(0, 32)) | rectangle(slice(20, 27), slice(20, 27))
    assert interior_point(mask) == (23, 23)


def test_the_interior_point_of_a_long_shape_is_its_middle() -> None:
    assert interior_point(rectangle(slice(4, 9), slice(2, 31))) == (6, 16)


def eroded(mask: np.ndarray) -> tuple[int, int]:
    """Interior point by erosion with a 3 x 3 square, pixel by pixel."""
    left = pixels(mask)
    while left:
        last = left
        left = {
            (row, column)
            for row, column in left
            if all((row + down, column + right) in left for down in (-1, 0, 1) for right in (-1, 0, 1))
        }
    middle = np.mean(sorted(last), axis=0)
    return min(last, key=lambda pixel: (((np.array(pixel) - middle) ** 2).sum(), pixel))


@given(MASKS.filter(np.any))
def test_the_interior_point_is_that_of_an_erosion(mask: np.ndarray) -> None:
    assert interior_point(mask) == eroded(mask)
