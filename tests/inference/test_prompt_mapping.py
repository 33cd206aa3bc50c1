"""From pixels of the source to the square."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from auralsam2.errors import InputError, UsageError
from auralsam2.inference.prompt_mapping import PromptMapper, concat_prompts, with_positive_anchor
from auralsam2.inference.video_source import VideoSource
from auralsam2.modeling.prompt_encoder import VisualPrompts
from auralsam2.types import Box, Mask, Point, Prompts


def save(path: Path, mask: np.ndarray) -> Path:
    Image.fromarray(mask).save(path)
    return path


@pytest.fixture
def pointing(video: Path) -> PromptMapper:
    return PromptMapper(VideoSource.open(video, Prompts(), prompts_later=True), 128)


def test_points_and_box_are_scaled_axis_by_axis(pointing: PromptMapper) -> None:
    visual = pointing.points([(32, 12), (64, 48)], [1, 0], 0.5, (8, 6, 64, 24))
    assert visual.points.tolist() == [[64, 32], [128, 128]]
    assert visual.labels.tolist() == [1, 0]
    assert visual.box is not None
    assert visual.box.tolist() == [16, 16, 128, 64]


def test_a_mask_is_a_file_or_an_array(pointing: PromptMapper, tmp_path: Path) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[24:, :32] = 7
    save(tmp_path / "mask.png", mask)
    expected = torch.zeros(128, 128, dtype=torch.bool)
    expected[64:, :64] = True
    for given in (mask, mask > 0, tmp_path / "mask.png", str(tmp_path / "mask.png")):
        visual = pointing.mask(given, 0.5)
        assert visual.mask is not None
        assert torch.equal(visual.mask, expected)


@pytest.mark.parametrize("shape", [(64, 48), (48, 63), (96, 128)])
def test_a_mask_of_another_size_is_refused(pointing: PromptMapper, tmp_path: Path, shape: tuple[int, int]) -> None:
    path = save(tmp_path / "mask.png", np.zeros(shape, np.uint8))
    with pytest.raises(InputError, match=rf"mask\.png.*{shape[1]}x{shape[0]}.*64x48"):
        pointing.mask(path, 0.5)


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_a_mask_that_is_no_picture_is_refused(pointing: PromptMapper, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mask.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"mask\.png.*PNG"):
        pointing.mask(path, 0.5)


def test_what_falls_on_one_frame_comes_together(pointing: PromptMapper, tmp_path: Path) -> None:
    prompts = Prompts(
        points=(Point(x=1, y=3, time=1.6), Point(x=2, y=3, time=4.5), Point(x=3, y=3, time=1.2, positive=False)),
        boxes=(Box(x0=8, y0=6, x1=64, y1=24, time=1.4),),
        masks=(Mask(path=save(tmp_path / "mask.png", np.ones((48, 64), np.uint8)), time=1.9),),
    )
    frames = pointing.by_frame(prompts, int)
    assert list(frames) == [1, 4]
    assert frames[1].points.tolist() == [[2, 8], [6, 8]]
    assert frames[1].labels.tolist() == [1, 0]
    assert frames[1].box is not None
    assert frames[1].box.tolist() == [16, 16, 128, 64]
    assert frames[1].mask is not None
    assert frames[1].mask.shape == (128, 128)
    assert not frames[1].ambiguous
    assert frames[4].points.tolist() == [[4, 8]]
    assert (frames[4].box, frames[4].mask, frames[4].ambiguous) == (None, None, True)


def test_a_box_alone_has_no_points(pointing: PromptMapper) -> None:
    (visual,) = pointing.by_frame(Prompts(boxes=(Box(x0=0, y0=0, x1=9, y1=9, time=3.4),)), int).values()
    assert (visual.points.shape, visual.labels.shape, visual.ambiguous) == ((0, 2), (0,), False)


def test_frames_on_which_something_is_only_taken_away_come_last(pointing: PromptMapper) -> None:
    points = (
        Point(x=1, y=1, time=1.0, positive=False),
        Point(x=1, y=1, time=2.0, positive=False),
        Point(x=1, y=1, time=4.0),
        Point(x=1, y=1, time=5.0, positive=False),
    )
    boxes = (Box(x0=0, y0=0, x1=9, y1=9, time=2.0),)
    assert list(pointing.by_frame(Prompts(points=points, boxes=boxes), int)) == [2, 4, 1, 5]


def test_two_boxes_or_two_masks_on_one_frame_are_refused(pointing: PromptMapper, tmp_path: Path) -> None:
    boxes = (Box(x0=0, y0=0, x1=9, y1=9, time=1.2), Box(x0=5, y0=0, x1=9, y1=9, time=1.7))
    with pytest.raises(UsageError, match=r"two boxes .* 1\.2 s.* one object"):
        pointing.by_frame(Prompts(boxes=boxes), int)
    path = save(tmp_path / "mask.png", np.zeros((48, 64), np.uint8))
    masks = (Mask(path=path, time=1.2), Mask(path=path, time=1.3))
    with pytest.raises(UsageError, match="two masks"):
        pointing.by_frame(Prompts(masks=masks), int)


def test_more_clicks_keep_what_was_said() -> None:
    before = VisualPrompts(torch.tensor([[1.0, 2.0]]), torch.tensor([1]), box=torch.tensor([0.0, 0, 9, 9]))
    both = concat_prompts(before, VisualPrompts(torch.tensor([[3.0, 4.0]]), torch.tensor([0])))
    assert both.points.tolist() == [[1, 2], [3, 4]]
    assert both.labels.tolist() == [1, 0]
    assert both.box is before.box


def test_a_click_that_takes_away_holds_on_to_the_largest_other_part() -> None:
    low = torch.full((16, 16), -3.0)
    low[0:9, 0:9] = 2.0
    low[11:14, 2:5] = 2.0
    low[12, 12] = 2.0
    click = VisualPrompts(torch.tensor([[10.0, 10.0]]), torch.tensor([0]))
    held = with_positive_anchor(click, low, 64)
    assert held.points.tolist() == [[3.5 * 4, 12.5 * 4], [10, 10]], "the middle of the three by three pixels"
    assert held.labels.tolist() == [1, 0]
    beside = VisualPrompts(torch.tensor([[63.0, 63.0]]), torch.tensor([0]))
    assert with_positive_anchor(beside, low, 64).points[0].tolist() == [4.5 * 4, 4.5 * 4], (
        "the click missed: all parts stay"
    )
    only = torch.where(torch.arange(16)[:, None] < 9, low, -3.0)
    assert with_positive_anchor(click, only, 64) is click, "nothing stays"
