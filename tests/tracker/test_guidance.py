"""The user's prompts on frames and on the model's square."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from auralsam2.errors import InputError, UsageError
from auralsam2.tracker.guidance import Guidance, read_mask
from auralsam2.types import Box, Mask, Point, Prompts

FRAMES = [(index, index + 0.5) for index in range(5)]


def guidance(*, width: int = 64, height: int = 48, size: int = 128, **prompts: tuple) -> Guidance:
    return Guidance(Prompts(**prompts), width, height, size)


@pytest.mark.parametrize(
    ("time", "index"), [(0.0, 0), (0.4, 0), (0.99, 0), (1.0, 0), (1.01, 1), (1.5, 1), (3.2, 3), (4.4, 4), (99.0, 4)]
)
def test_a_prompt_goes_to_the_nearest_frame(time: float, index: int) -> None:
    given_out = guidance(points=(Point(x=1, y=1, time=time),)).take(FRAMES, math.inf)
    assert list(given_out) == [index]


@given(st.lists(st.floats(0, 12), min_size=1, max_size=8), st.integers(1, 11))
def test_stretches_of_a_video_share_the_prompts_out_as_the_whole_would(times: list[float], border: int) -> None:
    frames = [(index, index + 0.5) for index in range(12)]
    points = tuple(Point(x=number, y=1, time=time) for number, time in enumerate(times))
    whole = guidance(points=points).take(frames, math.inf)
    parted = guidance(points=points)
    shared = parted.take(frames[:border], float(border)) | parted.take(frames[border:], math.inf)
    assert list(shared) == list(whole)
    for index, prompts in whole.items():
        assert torch.equal(shared[index].points, prompts.points)


def test_a_prompt_is_given_out_once() -> None:
    prompts = guidance(points=(Point(x=1, y=1, time=2.0),))
    assert prompts.wanted
    assert prompts.take(FRAMES, 1.9) == {}
    assert list(prompts.take(FRAMES, 2.0)) == [1]
    assert prompts.take(FRAMES, math.inf) == {}
    assert prompts.wanted, "whether there were any does not change"


def test_without_prompts_nothing_is_wanted() -> None:
    assert not guidance().wanted
    assert guidance().take(FRAMES, math.inf) == {}


def test_points_are_scaled_to_the_square_axis_by_axis() -> None:
    points = (Point(x=0, y=0), Point(x=32, y=12, positive=False), Point(x=64, y=48))
    (prompts,) = guidance(points=points).take(FRAMES, math.inf).values()
    assert prompts.points.tolist() == [[0, 0], [64, 32], [128, 128]]
    assert prompts.labels.tolist() == [1, 0, 1]
    assert prompts.box is None
    assert prompts.mask is None
    assert not prompts.ambiguous


def test_a_box_is_scaled_to_the_square() -> None:
    (prompts,) = guidance(boxes=(Box(x0=8, y0=6, x1=64, y1=24, time=3.4),)).take(FRAMES, math.inf).values()
    assert prompts.box is not None
    assert prompts.box.tolist() == [16, 16, 128, 64]
    assert prompts.points.shape == (0, 2)
    assert prompts.labels.shape == (0,)
    assert not prompts.ambiguous


def test_prompts_of_one_frame_come_together() -> None:
    prompts = guidance(
        points=(Point(x=1, y=1, time=1.6), Point(x=2, y=1, time=4.5), Point(x=3, y=1, time=1.2)),
        boxes=(Box(x0=0, y0=0, x1=9, y1=9, time=1.4),),
    ).take(FRAMES, math.inf)
    assert list(prompts) == [1, 4]
    assert prompts[1].points[:, 0].tolist() == [6, 2], "in the order of time"
    assert prompts[1].box is not None
    assert prompts[4].box is None
    assert prompts[4].ambiguous


def test_two_boxes_on_one_frame_are_refused() -> None:
    boxes = (Box(x0=0, y0=0, x1=9, y1=9, time=1.2), Box(x0=5, y0=0, x1=9, y1=9, time=1.7))
    with pytest.raises(UsageError, match=r"two boxes .* 1\.2 s.* one object"):
        guidance(boxes=boxes).take(FRAMES, math.inf)


def save_mask(path: Path, mask: np.ndarray) -> Path:
    Image.fromarray(mask).save(path)
    return path


def test_two_masks_on_one_frame_are_refused(tmp_path: Path) -> None:
    path = save_mask(tmp_path / "mask.png", np.zeros((48, 64), np.uint8))
    masks = (Mask(path=path, time=1.2), Mask(path=path, time=1.3))
    with pytest.raises(UsageError, match="two masks"):
        guidance(masks=masks).take(FRAMES, math.inf)


def test_a_mask_is_brought_to_the_square(tmp_path: Path) -> None:
    label = np.zeros((48, 64), np.uint8)
    label[24:, :32] = 1
    mask = Mask(path=save_mask(tmp_path / "mask.png", label), time=2.5)
    given_out = guidance(masks=(mask,)).take(FRAMES, math.inf)
    assert list(given_out) == [2]
    square = given_out[2].mask
    assert square is not None
    assert square.dtype == torch.bool
    expected = torch.zeros(128, 128, dtype=torch.bool)
    expected[64:, :64] = True
    assert torch.equal(square, expected)
    assert not given_out[2].ambiguous


@pytest.mark.parametrize("shape", [(64, 48), (48, 63), (96, 128)])
def test_a_mask_of_another_size_is_refused(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = save_mask(tmp_path / "mask.png", np.zeros(shape, np.uint8))
    with pytest.raises(InputError, match=rf"mask\.png.*{shape[1]}x{shape[0]}.*64x48"):
        guidance(masks=(Mask(path=path),))


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_a_mask_that_is_no_picture_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mask.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"mask\.png.*PNG"):
        read_mask(Mask(path=path), 64, 48, 128)
