"""Post-processing of masks."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import auralsam2
from auralsam2.errors import UsageError
from auralsam2.outputs import rle
from auralsam2.outputs.export import export_result
from auralsam2.outputs.postprocessing import PostProcessing, postprocess, postprocess_mask
from auralsam2.types import Segmentation
from helpers.media_files import write_clip

Make = Callable[..., Segmentation]


def parse(*rows: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in row] for row in rows])


def test_holes_are_filled_and_specks_removed() -> None:
    mask = parse("###....", "#.#..#.", "###...#", ".......", "#......")
    assert np.array_equal(postprocess_mask(mask, PostProcessing()), mask)
    filled = parse("###....", "###..#.", "###...#", ".......", "#......")
    assert np.array_equal(postprocess_mask(mask, PostProcessing(fill_holes=True)), filled)
    for area, kept in ((2, mask[4, 0]), (3, mask[1, 5]), (8, mask[0, 0])):
        assert kept
        cleaned = postprocess_mask(mask, PostProcessing(min_area=area))
        assert cleaned.sum() == {2: 10, 3: 8, 8: 8}[area]
    assert not postprocess_mask(mask, PostProcessing(min_area=9)).any()


def test_mask_grows_and_shrinks_by_a_distance() -> None:
    y, x = np.mgrid[:60, :80]
    distance = np.hypot(x - 40, y - 30)
    disc = distance <= 12
    for pixels in (5, -5):
        changed = postprocess_mask(disc, PostProcessing(grow=pixels))
        assert np.array_equal(changed, changed & (distance <= 12 + pixels + 1) | (distance <= 12 + pixels - 1))
    half = x < 40
    assert np.array_equal(postprocess_mask(half, PostProcessing(grow=-3)), x < 37), "the frame is no border"
    assert postprocess_mask(x >= 0, PostProcessing(grow=-3)).all()
    assert not postprocess_mask(x < 0, PostProcessing(grow=3)).any()


def test_majority_over_time(segmentation: Make) -> None:
    flags = [True, False, True, True, False, False, True]
    frames = [dataclasses.replace(segmentation(index), mask=np.full((4, 4), flag)) for index, flag in enumerate(flags)]
    smooth = list(postprocess(frames, PostProcessing(smooth=3)))
    # At both ends, two frames are a tie, and the frame keeps its mask.
    assert [bool(frame.mask.all()) for frame in smooth] == [True, True, True, True, False, False, True]
    assert [frame.index for frame in smooth] == list(range(7))
    assert [frame.sounding for frame in smooth] == [True, True, True, True, False, False, True]


def test_objects_are_independent_and_masks_come_in_time(segmentation: Make) -> None:
    given = 0

    def frames() -> list[Segmentation]:
        nonlocal given
        for index in range(20):
            for number in (0, 2):
                if number == 2 and index % 3 == 0:
                    continue
                given += 1
                mask = np.full((4, 4), (index % 2 == 0) if number == 0 else True)
                yield dataclasses.replace(segmentation(index), mask=mask, object_id=number)

    order = []
    for frame in postprocess(frames(), PostProcessing(smooth=5)):
        order.append((frame.index, frame.object_id))
        assert given - len(order) <= 10, "waits for two frames of each object"
        if frame.object_id == 2:
            assert frame.mask.all()
        elif 2 <= frame.index < 18:
            assert frame.mask.all() == (frame.index % 2 == 0)
    assert order == sorted(order)
    assert len(order) == given


@pytest.mark.parametrize(
    ("name", "value"), [("smooth", 2), ("smooth", 0), ("min_area", -1), ("grow", float("nan")), ("feather", -0.5)]
)
def test_values_outside_the_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"`{name}=.*must be"):
        PostProcessing(**{name: value})


def test_same_masks_from_segment_and_export(small_model: Path, tmp_path: Path) -> None:
    video = write_clip(tmp_path / "dog.mp4")
    model = auralsam2.load(small_model)
    steps = PostProcessing(smooth=3, fill_holes=True, min_area=40, grow=2.0)
    plain = model.segment(video, fps=5).save(tmp_path / "plain", save=frozenset({"json"}))
    changed = model.segment(video, fps=5).save(tmp_path / "new", save=frozenset({"json", "npz"}), postprocessing=steps)
    (exported,) = export_result(plain, ["npz"], postprocessing=steps)
    before = json.loads((plain / "result.json").read_text())
    result = json.loads((changed / "result.json").read_text())
    assert result["options"]["postprocessing"] == dataclasses.asdict(steps)
    assert [row["rle"] for row in result["frames"]] != [row["rle"] for row in before["frames"]]
    with np.load(exported) as volume:
        for row, labels in zip(result["frames"], volume["labels"], strict=True):
            assert np.array_equal(rle.decode_rle(row["rle"]), labels == 1)
            assert row["sounding"] <= labels.any()
