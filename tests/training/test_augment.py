"""Augmentation, worked by hand on pictures of a few pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from auralsam2.training.augment import FILL, Augmentation, Jitter
from auralsam2.training.config import AugmentConfig

PLAIN = Jitter()


def augmentation(frames: int = 1, **changes: object) -> Augmentation:
    return Augmentation(**({"frame_jitters": (PLAIN,) * frames} | changes))  # type: ignore[arg-type]


def picture(height: int, width: int, frames: int = 1) -> np.ndarray:
    """Every value differs from its neighbours."""
    count = frames * height * width * 3
    return (np.arange(count) * 37 % 251).astype(np.uint8).reshape(frames, height, width, 3)


def assert_same_pixels(actual: np.ndarray, expected: np.ndarray) -> None:
    """But for the rounding of interpolation."""
    np.testing.assert_allclose(actual.astype(int), expected.astype(int), atol=1)


def test_nothing_changes_nothing() -> None:
    frames, labels, sound = picture(4, 6, 2), picture(4, 6, 2)[..., 0] > 100, torch.randn(2, 2, 96, 64)
    drawn = Augmentation.draw(AugmentConfig(), 2, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn.frames(frames), frames)
    np.testing.assert_array_equal(drawn.labels(labels), labels)
    assert torch.equal(drawn.sound(sound), sound)


def test_flip_mirrors_pictures_labels_and_sound() -> None:
    frames, labels, sound = picture(4, 6, 2), picture(4, 6, 2)[..., 0] > 100, torch.randn(2, 2, 96, 64)
    flipped = augmentation(2, flip=True)
    np.testing.assert_array_equal(flipped.frames(frames), frames[:, :, ::-1])
    np.testing.assert_array_equal(flipped.labels(labels), labels[:, :, ::-1])
    assert torch.equal(flipped.sound(sound), torch.stack([sound[:, 1], sound[:, 0]], dim=1))
    assert torch.equal(augmentation(flip=True, swap_sound=False).sound(sound), sound)


@pytest.mark.parametrize(("angle", "turns"), [(90.0, -1), (-90.0, 1), (180.0, 2)])
def test_a_quarter_turn_clockwise(angle: float, turns: int) -> None:
    frames = picture(6, 6)
    turned = augmentation(angle=angle)
    assert_same_pixels(turned.frames(frames)[0], np.rot90(frames[0], turns))
    labels = frames[..., 0] > 100
    np.testing.assert_array_equal(turned.labels(labels)[0], np.rot90(labels[0], turns))


def test_shear_moves_rows_and_fills() -> None:
    """45 degrees: a row below the centre goes one pixel left, a row above one pixel right."""
    frames = picture(3, 4)
    sheared = augmentation(shear=45.0)
    expected = np.empty_like(frames)
    expected[0, 0, 1:], expected[0, 0, 0] = frames[0, 0, :-1], FILL
    expected[0, 1] = frames[0, 1]
    expected[0, 2, :-1], expected[0, 2, -1] = frames[0, 2, 1:], FILL
    assert_same_pixels(sheared.frames(frames), expected)
    everything = np.ones((1, 3, 4), dtype=bool)
    assert sheared.labels(everything)[0].tolist() == [[False, True, True, True], [True] * 4, [True, True, True, False]]


def test_frames_are_bilinear_and_labels_nearest() -> None:
    """Half a pixel to the side: a step of 0 | 200 gets a value between, a label stays a label."""
    frames = np.zeros((1, 5, 8, 3), dtype=np.uint8)
    frames[:, :, 4:] = 200
    sheared = augmentation(shear=float(np.degrees(np.arctan(0.5))))
    assert sheared.frames(frames)[0, 3, 2:6, 0].tolist() == [0, 100, 200, 200]
    assert sheared.labels(frames[..., 0] > 0).dtype == bool


def test_picture_and_label_move_together() -> None:
    """A white object on black, by every geometry at once: the label is where the picture is light."""
    frames = np.zeros((3, 64, 96, 3), dtype=np.uint8)
    frames[:, 20:44, 30:50] = 255
    moved = augmentation(3, flip=True, angle=20.0, shear=-15.0)
    label = moved.labels(frames[..., 0] > 0)
    light = moved.frames(frames).min(axis=3) > 128
    fill = min(FILL)
    assert fill < 128
    assert (label & light).sum() / (label | light).sum() > 0.95
    assert label.sum() == pytest.approx(3 * 24 * 20, rel=0.05)
    assert (label == label[0]).all()


def test_a_clip_with_one_label() -> None:
    assert augmentation(5, flip=True).labels(np.eye(4, dtype=bool)[None]).shape == (1, 4, 4)
    assert augmentation(5, flip=True).labels(np.zeros((0, 4, 4), dtype=bool)).shape == (0, 4, 4)


def test_colours_by_hand() -> None:
    """Brightness scales, contrast stretches about the mean grey, saturation about each pixel's own grey."""
    frames = np.array([[[[200, 100, 50], [40, 80, 120]]]], dtype=np.uint8)
    grey = np.array([(299 * r + 587 * g + 114 * b) / 1000 for r, g, b in frames[0, 0].tolist()])
    pixels = frames[0, 0].astype(float)
    expected = {
        0: 0.5 * pixels,
        1: grey.mean() + 0.5 * (pixels - grey.mean()),
        2: grey[:, None] + 0.5 * (pixels - grey[:, None]),
    }
    for index, values in expected.items():
        factors = tuple(0.5 if place == index else 1.0 for place in range(3))
        for changes in ({"jitter": Jitter(factors)}, {"frame_jitters": (Jitter(factors),)}):  # type: ignore[arg-type]
            result = augmentation(**changes).frames(frames)[0, 0].astype(float)
            np.testing.assert_allclose(result, values, atol=1.01)


def test_grayscale() -> None:
    frames = picture(4, 5, 2)
    result = augmentation(2, grayscale=True).frames(frames)
    assert (result == result[..., :1]).all()
    red, green, blue = (frames[..., channel].astype(float) for channel in range(3))
    np.testing.assert_allclose(result[..., 0], 0.299 * red + 0.587 * green + 0.114 * blue, atol=1)


def test_frame_jitter_differs_from_frame_to_frame_and_clip_jitter_does_not() -> None:
    frames = np.full((6, 4, 4, 3), 100, dtype=np.uint8)
    alike = Augmentation.draw(AugmentConfig(clip_jitter=(0.4, 0, 0)), 6, np.random.default_rng(0)).frames(frames)
    single = Augmentation.draw(AugmentConfig(frame_jitter=(0.4, 0, 0)), 6, np.random.default_rng(0)).frames(frames)
    assert len(np.unique(alike)) == 1
    assert alike[0, 0, 0, 0] != 100
    assert len(np.unique(single)) == 6


def test_order_of_colours_matters_and_is_drawn() -> None:
    frames = picture(4, 5)
    factors = (1.5, 0.5, 0.2)
    results = [augmentation(jitter=Jitter(factors, order)).frames(frames) for order in ((0, 1, 2), (2, 1, 0))]
    assert (results[0] != results[1]).any()
    orders = {Jitter.draw((0.1, 0.1, 0.1), np.random.default_rng(seed)).order for seed in range(60)}
    assert len(orders) == 6


def test_draws_stay_in_their_ranges() -> None:
    config = AugmentConfig.preset("released", clip_jitter=(0.1, 0.03, 1.5))
    draws = [Augmentation.draw(config, 1, np.random.default_rng(seed)) for seed in range(400)]
    for name, most in (("angle", 25), ("shear", 20)):
        values = [getattr(drawn, name) for drawn in draws]
        assert -most <= min(values) < -0.9 * most
        assert 0.9 * most < max(values) <= most
    for index, (low, high) in enumerate(((0.9, 1.1), (0.97, 1.03), (0.0, 2.5))):
        values = [drawn.jitter.factors[index] for drawn in draws]
        assert low <= min(values) < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < max(values) <= high
    assert 160 < sum(drawn.flip for drawn in draws) < 240
    assert 8 < sum(drawn.grayscale for drawn in draws) < 36


def test_a_seed_decides() -> None:
    config = AugmentConfig.preset("paper")
    first, again, other = (Augmentation.draw(config, 5, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_presets() -> None:
    paper, released = (AugmentConfig.preset(variant) for variant in ("paper", "released"))
    assert (paper.flip, paper.grayscale, paper.rotation, paper.shear) == (0.5, 0.1, 0, 0)
    assert (paper.clip_jitter, paper.frame_jitter) == ((0.1, 0.03, 0.03), (0.1, 0.05, 0.05))
    assert (released.flip, released.grayscale, released.rotation, released.shear) == (0.5, 0.05, 25, 20)
    assert released.clip_jitter == released.frame_jitter == (0, 0, 0)


def test_the_paper_changes_colours() -> None:
    """The released code computes jittered pictures and drops them (reference 9 i)."""
    frames = picture(8, 8, 2)
    drawn = Augmentation.draw(AugmentConfig.preset("paper", flip=0.0, grayscale=0.0), 2, np.random.default_rng(0))
    changed = np.abs(drawn.frames(frames).astype(int) - frames).mean()
    assert 0.5 < changed < 40


def test_a_wrong_number_of_frames_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        augmentation(2).frames(picture(4, 4, 3))
