"""From pixels of the source to the square."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from auralsam2.decoder.visual import VisualPrompts
from auralsam2.tracker.converse.pointing import Pointing, anchored, together
from auralsam2.tracker.source import Source
from auralsam2.types import Prompts


@pytest.fixture
def pointing(video: Path) -> Pointing:
    return Pointing(Source.open(video, Prompts(), asked_later=True), 128)


def test_points_and_box_are_scaled_axis_by_axis(pointing: Pointing) -> None:
    visual = pointing.points([(32, 12), (64, 48)], [1, 0], 0.5, (8, 6, 64, 24))
    assert visual.points.tolist() == [[64, 32], [128, 128]]
    assert visual.labels.tolist() == [1, 0]
    assert visual.box is not None
    assert visual.box.tolist() == [16, 16, 128, 64]


def test_a_mask_is_a_file_or_an_array(pointing: Pointing, tmp_path: Path) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[24:, :32] = 7
    Image.fromarray(mask).save(tmp_path / "mask.png")
    expected = torch.zeros(128, 128, dtype=torch.bool)
    expected[64:, :64] = True
    for given in (mask, mask > 0, tmp_path / "mask.png", str(tmp_path / "mask.png")):
        visual = pointing.mask(given, 0.5)
        assert visual.mask is not None
        assert torch.equal(visual.mask, expected)


def test_more_clicks_keep_what_was_said() -> None:
    before = VisualPrompts(torch.tensor([[1.0, 2.0]]), torch.tensor([1]), box=torch.tensor([0.0, 0, 9, 9]))
    both = together(before, VisualPrompts(torch.tensor([[3.0, 4.0]]), torch.tensor([0])))
    assert both.points.tolist() == [[1, 2], [3, 4]]
    assert both.labels.tolist() == [1, 0]
    assert both.box is before.box


def test_a_click_that_takes_away_holds_on_to_the_largest_other_part() -> None:
    low = torch.full((16, 16), -3.0)
    low[0:9, 0:9] = 2.0
    low[11:14, 2:5] = 2.0
    low[12, 12] = 2.0
    click = VisualPrompts(torch.tensor([[10.0, 10.0]]), torch.tensor([0]))
    held = anchored(click, low, 64)
    assert held.points.tolist() == [[3.5 * 4, 12.5 * 4], [10, 10]], "the middle of the three by three pixels"
    assert held.labels.tolist() == [1, 0]
    beside = VisualPrompts(torch.tensor([[63.0, 63.0]]), torch.tensor([0]))
    assert anchored(beside, low, 64).points[0].tolist() == [4.5 * 4, 4.5 * 4], "the click missed: all parts stay"
    only = torch.where(torch.arange(16)[:, None] < 9, low, -3.0)
    assert anchored(click, only, 64) is click, "nothing stays"
