from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from auralsam2.outputs import rle

MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24))


@given(MASKS)
def test_mask_round_trip(mask: np.ndarray) -> None:
    coded = rle.encode_rle(mask)
    back = rle.decode_rle(coded)
    assert coded["size"] == list(mask.shape)
    assert back.dtype == np.bool_
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(back, mask)


@given(MASKS)
def test_area_and_box_match_the_pixels(mask: np.ndarray) -> None:
    coded = rle.encode_rle(mask)
    assert rle.rle_area(coded) == mask.sum()
    if mask.any():
        rows, columns = np.nonzero(mask)
        x, y = columns.min(), rows.min()
        assert rle.bounding_box(coded) == [x, y, columns.max() + 1 - x, rows.max() + 1 - y]
    else:
        assert rle.bounding_box(coded) == [0, 0, 0, 0]


def test_runs_are_column_major() -> None:
    # Columns top to bottom: 2 off, 3 on, 1 off. Each count is one character, 48 + the run.
    mask = np.array([[0, 1, 1], [0, 1, 0]], dtype=bool)
    assert rle.encode_rle(mask) == {"size": [2, 3], "counts": "231"}


@pytest.mark.parametrize("mask", [np.zeros((2, 3), np.uint8), np.zeros((1, 2, 3), bool), np.zeros(3, bool)])
def test_other_arrays_than_masks_are_refused(mask: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"\(H, W\) bool"):
        rle.encode_rle(mask)


@given(MASKS.filter(lambda mask: mask.size > 1), st.integers(1, 3))
def test_runs_that_do_not_fill_the_size_are_refused(mask: np.ndarray, more: int) -> None:
    coded = rle.encode_rle(mask)
    height, width = coded["size"]
    with pytest.raises(ValueError, match="mask"):
        rle.decode_rle({"size": [height, width + more], "counts": coded["counts"]})
