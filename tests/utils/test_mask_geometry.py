"""Connected components and interior point of masks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from auralsam2.utils.mask_geometry import connected_components, interior_point

MASKS = arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def flood_components(mask: np.ndarray) -> list[set[tuple[int, int]]]:
    """Return the components by a flood fill, pixel by pixel."""
    remaining = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    components = []
    while remaining:
        edge = [remaining.pop()]
        part = set(edge)
        while edge:
            row, column = edge.pop()
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & remaining
            remaining -= near
            part |= near
            edge += near
        components.append(part)
    return components


def pixels(mask: np.ndarray) -> set[tuple[int, int]]:
    return {(int(row), int(column)) for row, column in np.argwhere(mask)}


@given(MASKS, st.integers(1, 4))
def test_components_equal_those_of_a_flood_fill(mask: np.ndarray, min_area: int) -> None:
    components = connected_components(mask, min_area)
    expected = [part for part in flood_components(mask) if len(part) >= min_area]
    assert sorted(map(sorted, map(pixels, components))) == sorted(map(sorted, expected))
    assert [part.sum() for part in components] == sorted((part.sum() for part in components), reverse=True)


def test_comb_is_one_component() -> None:
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


def test_edge_of_the_image_is_border() -> None:
    assert interior_point(np.ones((9, 9), np.bool_)) == (4, 4)
    assert interior_point(rectangle(slice(0, 7), slice(3, 10)) | rectangle(slice(12, 15), slice(3, 32))) == (3, 6)


def test_thicker_of_two_components_has_the_interior_point() -> None:
    mask = rectangle(slice(0, 3), slice(0, 32)) | rectangle(slice(20, 27), slice(20, 27))
    assert interior_point(mask) == (23, 23)


def test_interior_point_of_a_long_shape_is_its_middle() -> None:
    assert interior_point(rectangle(slice(4, 9), slice(2, 31))) == (6, 16)


def erosion_point(mask: np.ndarray) -> tuple[int, int]:
    """Interior point by erosion with a 3 x 3 square, pixel by pixel."""
    remaining = pixels(mask)
    while remaining:
        last = remaining
        remaining = {
            (row, column)
            for row, column in remaining
            if all((row + down, column + right) in remaining for down in (-1, 0, 1) for right in (-1, 0, 1))
        }
    middle = [Fraction(sum(values), len(last)) for values in zip(*last, strict=True)]
    return min(last, key=lambda pixel: (sum((a - b) ** 2 for a, b in zip(pixel, middle, strict=True)), pixel))


@given(MASKS.filter(np.any))
def test_interior_point_equals_that_of_an_erosion(mask: np.ndarray) -> None:
    assert interior_point(mask) == erosion_point(mask)
