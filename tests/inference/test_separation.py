"""Sources joined over time by overlap and appearance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from auralsam2.inference.separation import SourceSeparator

H, W = 40, 60


def disc(x: float, y: float, radius: float = 6) -> np.ndarray:
    rows, columns = np.mgrid[:H, :W]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def test_moving_sources_keep_their_numbers() -> None:
    separator = SourceSeparator()
    for step in range(8):
        left, right = disc(10 + 2 * step, 10), disc(50 - 2 * step, 30)
        found = separator.assign(left | right)
        assert found.keys() == {1, 2}
        assert np.array_equal(found[1], left)
        assert np.array_equal(found[2], right)


def test_touching_sources_are_divided_by_their_latest_masks() -> None:
    """Components of one frame alone would make them one object."""
    separator = SourceSeparator()
    separator.assign(disc(20, 20) | disc(40, 20))
    merged = disc(24, 20, 7) | disc(36, 20, 7)
    found = separator.assign(merged)
    assert found.keys() == {1, 2}
    assert not (found[1] & found[2]).any()
    assert np.array_equal(found[1] | found[2], merged)
    assert not found[1][:, 31:].any()
    assert not found[2][:, :30].any()
    assert separator.assign(disc(20, 20) | disc(40, 20)).keys() == {1, 2}


def test_parts_of_one_source_stay_together() -> None:
    """An occluder, for instance a bar, cuts a mask in two."""
    separator = SourceSeparator()
    whole = disc(30, 20, 12)
    separator.assign(whole)
    cut = whole.copy()
    cut[:, 29:32] = False
    found = separator.assign(cut)
    assert found.keys() == {1}
    assert np.array_equal(found[1], cut)


def test_a_source_is_found_again_after_a_silence_by_its_appearance() -> None:
    one, other = torch.tensor([1.0, 0.0, 0.1]), torch.tensor([0.0, 1.0, 0.1])
    separator = SourceSeparator()
    left, right = disc(10, 10), disc(50, 30)
    assert separator.assign(left, lambda _: one).keys() == {1}
    assert separator.assign(np.zeros((H, W), bool)) == {}
    assert separator.assign(right, lambda _: other).keys() == {2}
    # The first source sounds again, at another place.
    assert separator.assign(disc(30, 20), lambda _: one).keys() == {1}
    assert separator.numbers == (1, 2)


def test_without_appearances_a_new_place_is_a_new_source() -> None:
    separator = SourceSeparator()
    separator.assign(disc(10, 10))
    assert separator.assign(disc(50, 30)).keys() == {2}


@pytest.mark.parametrize("area", [0.001, 0.05])
def test_specks_are_left_out(area: float) -> None:
    separator = SourceSeparator(min_area=area)
    found = separator.assign(disc(10, 10, 2) | disc(40, 20, 9))
    assert len(found) == (2 if area == 0.001 else 1)
