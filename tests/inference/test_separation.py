"""Sources joined over time by overlap and appearance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from auralsam2.inference.separation import SourceSeparator, describe_mask
from auralsam2.modeling.image_encoder import FrameFeatures

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
    for _ in range(3):
        found = separator.assign(disc(10, 10, 2) | disc(40, 20, 9))
    assert len(found) == (2 if area == 0.001 else 1)


def test_appearance_is_the_mean_of_the_stride_16_features() -> None:
    generator = torch.Generator().manual_seed(0)
    features = FrameFeatures(
        embedding=torch.randn(1, 8, 4, 6, generator=generator),
        middle=torch.randn(1, 2, 8, 12, generator=generator),
        fine=torch.randn(1, 1, 16, 24, generator=generator),
    )
    mask = np.zeros((64, 96), bool)
    mask[16:48, 32:64] = True
    expected = features.embedding[0, :, 1:3, 2:4].mean((1, 2))
    torch.testing.assert_close(describe_mask(features, mask), expected)


def test_fragments_beside_an_object_are_no_sources() -> None:
    """Ragged masks have small components that come and go."""
    separator = SourceSeparator()
    for step, (x, y) in enumerate(((8, 30), (50, 8), (52, 34))):
        found = separator.assign(disc(30, 20, 10) | disc(x, y, 3))
        assert found.keys() == {1}, step
        assert not found[1][y, x]


def test_a_small_source_beside_a_large_one_is_found() -> None:
    separator = SourceSeparator()
    found = [separator.assign(disc(30, 20, 10) | disc(8 + step, 30, 3)).keys() for step in range(4)]
    assert found == [{1}, {1}, {1, 2}, {1, 2}]
    assert separator.numbers == (1, 2)


def test_a_small_source_alone_is_found_at_once() -> None:
    assert SourceSeparator().assign(disc(8, 30, 3)).keys() == {1}


def test_partial_masks_of_one_object_are_one_source_over_pauses() -> None:
    """The mask of an object is now this part of it, now that; its features are much alike."""
    whole = torch.tensor([1.0, 0.2, 0.1])
    parts = [whole + torch.tensor(change) for change in ([0.0, 0.5, 0.0], [0.0, 0.0, 0.6], [-0.3, 0.3, 0.0])]
    separator = SourceSeparator()
    for step, appearance in enumerate(parts):
        separator.assign(np.zeros((H, W), bool))
        found = separator.assign(disc(16 + 9 * step, 20, 4), lambda _, appearance=appearance: appearance)
        assert found.keys() == {1}, step
