from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from auralsam2.errors import UsageError
from auralsam2.outputs.overlay import COLOUR, draw_overlay, outline_width

SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def disc(height: int, width: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return (y - height / 2) ** 2 + (x - width / 2) ** 2 < radius**2


def ground(height: int, width: int, value: int) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def brightness(image: np.ndarray) -> np.ndarray:
    return image.astype(float).mean(axis=-1)


@given(SIDES.flatmap(lambda s: st.tuples(hnp.arrays(np.uint8, (*s, 3)), hnp.arrays(np.bool_, s))))
@settings(deadline=None)
def test_only_mask_and_outline_change_and_the_input_does_not(pair: tuple[np.ndarray, np.ndarray]) -> None:
    image, mask = pair
    before = image.copy()
    painted = draw_overlay(image, mask)
    np.testing.assert_array_equal(image, before)
    assert painted.shape == image.shape
    assert painted.dtype == np.uint8
    assert painted.flags.writeable
    margin = outline_width(*mask.shape)
    neighbourhood = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        neighbourhood[max(0, y - margin) : y + margin + 1, max(0, x - margin) : x + margin + 1] = True
    np.testing.assert_array_equal(painted[~neighbourhood], image[~neighbourhood])


def test_empty_mask_returns_a_copy() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    painted = draw_overlay(image, np.zeros((30, 40), bool))
    np.testing.assert_array_equal(painted, image)
    assert not np.shares_memory(painted, image)


@pytest.mark.parametrize("colour", [COLOUR, (0, 200, 40)])
@pytest.mark.parametrize("value", [0, 90, 255])
def test_object_is_tinted_at_about_45_per_cent(value: int, colour: tuple[int, int, int]) -> None:
    painted = draw_overlay(ground(200, 200, value), disc(200, 200, 60), colour)
    expected = 0.55 * value + 0.45 * np.array(colour)
    np.testing.assert_allclose(painted[100, 100], expected, atol=1.5)


@pytest.mark.parametrize("value", [0, 60, 128, 200, 255])
def test_outline_is_visible_on_any_background(value: int) -> None:
    image = ground(480, 640, value)
    along = brightness(draw_overlay(image, disc(480, 640, 100)))[240]
    edge = along[420 - 4 : 420 + 4]
    assert edge.max() - edge.min() > 200  # light beside dark
    assert np.abs(edge - value).max() > 120  # and one of them off the ground


@pytest.mark.parametrize(("height", "width", "expected"), [(64, 64, 2), (480, 640, 2), (720, 1280, 3), (1280, 720, 3)])
def test_outline_has_the_stated_width(height: int, width: int, expected: int) -> None:
    assert outline_width(height, width) == expected
    mask = np.zeros((height, width), bool)
    mask[:, width // 2 :] = True
    row = brightness(draw_overlay(ground(height, width, 128), mask))[height // 2]
    plain_outside, tinted = row[0], row[-1]
    assert np.count_nonzero(~np.isin(row, (plain_outside, tinted))) == expected


def test_outline_width_grows_with_the_frame() -> None:
    widths = [outline_width(height, height * 2) for height in (240, 480, 720, 1080, 2160)]
    assert widths == sorted(widths)
    assert widths[-1] > 2 * widths[1]


def test_no_line_where_the_object_leaves_the_frame() -> None:
    painted = draw_overlay(ground(100, 100, 128), np.ones((100, 100), bool))
    assert (painted == painted[50, 50]).all()


def test_corners_of_a_wide_outline_are_round() -> None:
    mask = np.zeros((2160, 2160), bool)
    mask[1000:1200, 1000:1200] = True
    image = ground(2160, 2160, 128)
    changed = (draw_overlay(image, mask) != image).any(axis=-1)
    dark = outline_width(2160, 2160) // 3
    assert changed[1000 - dark, 1100]
    assert not changed[1000 - dark, 1000 - dark]


def test_different_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="do not fit"):
        draw_overlay(ground(10, 20, 0), np.zeros((20, 10), bool))


def test_overlay_of_a_720p_frame_takes_milliseconds() -> None:
    image, mask = ground(720, 1280, 128), disc(720, 1280, 300)
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        draw_overlay(image, mask)
        seconds.append(time.perf_counter() - begin)
    # 6 ms on two slow cores; the limit leaves room for a busy machine, not for another order of magnitude.
    assert min(seconds) < 0.06
