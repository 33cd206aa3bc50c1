from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auralsam2.outputs import result_json, rle
from auralsam2.types import MediaInfo, Segmentation
from auralsam2.version import __version__

Make = Callable[..., Segmentation]


def stretches(slots: list[tuple[float, float]]) -> list[list[float]]:
    return list(result_json.intervals(slots))


def test_adjacent_slots_form_one_interval() -> None:
    assert stretches([(0.1, 0.2), (0.2, 0.3), (0.5, 0.7)]) == [[0.1, 0.3], [0.5, 0.7]]
    third = 1 / 3
    assert stretches([(0, round(third, 6)), (third, 2 * third)]) == [[0, 0.666667]]


def test_slots_of_two_objects_on_a_frame_count_once() -> None:
    assert stretches([(0, 1), (0, 1), (1, 2), (3, 4)]) == [[0, 2], [3, 4]]


def test_intervals_without_visible_frames() -> None:
    assert stretches([]) == []


@given(st.lists(st.tuples(st.integers(1, 1000), st.booleans()), max_size=40))
def test_intervals_contain_exactly_the_visible_slots(steps: list[tuple[int, bool]]) -> None:
    edges = [0.0, *(float(edge) / 1000 for edge in np.cumsum([step for step, _ in steps]))]
    slots = list(itertools.pairwise(edges))
    actual = stretches([slot for slot, (_, visible) in zip(slots, steps, strict=True) if visible])
    flat = [second for pair in actual for second in pair]
    assert flat == sorted(flat)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(actual))
    for (begin, end), (_, visible) in zip(slots, steps, strict=True):
        assert any(start <= (begin + end) / 2 < stop for start, stop in actual) == visible


def test_row_format(segmentation: Make) -> None:
    frame = dataclasses.replace(segmentation(3), time=0.1 + 0.2, iou=float(np.float32(0.9)), object_score=-1.23456789)
    row = result_json.frame_row(frame)
    members = [
        "index",
        "object_id",
        "time",
        "slot",
        "source_index",
        "pts",
        "area",
        "iou",
        "object_score",
        "sounding",
        "rle",
    ]
    assert list(row) == members
    assert row["slot"] == [0.3, 0.4]
    assert (row["index"], row["time"], row["iou"], row["object_score"]) == (3, 0.3, 0.9, -1.234568)
    assert row["sounding"] is True
    assert row["area"] == pytest.approx(frame.mask.sum() / frame.mask.size, abs=1e-6)
    np.testing.assert_array_equal(rle.decode_rle(row["rle"]), frame.mask)


def test_numbers_of_numpy_and_infinities_have_a_json_form(segmentation: Make) -> None:
    frame = dataclasses.replace(
        segmentation(0), iou=np.float32(0.5), object_score=float("-inf"), sounding=np.bool_(False), time=np.float64(1)
    )
    row = json.loads(json.dumps(result_json.frame_row(frame), allow_nan=False))
    assert (row["iou"], row["object_score"], row["sounding"], row["time"]) == (0.5, None, False, 1.0)


def test_members_of_result_json(segmentation: Make, info: MediaInfo, header: dict) -> None:
    rows = [
        result_json.frame_row(frame)
        for frame in (
            segmentation(0),
            segmentation(1, radius=0),  # sounding, but nothing to see
            segmentation(2, sounding=False),
            segmentation(3),
        )
    ]
    members = result_json.result_members(
        info, header, lambda: iter(rows), {"decode": 1.23456789}, ["the track is silent"]
    )
    result = {name: list(value) if hasattr(value, "__next__") else value for name, value in members}
    assert result == {
        "schema": "auralsam2.result/2",
        "auralsam2": __version__,
        "model": "mini",
        "input": {
            "path": "dog.mp4",
            "size": [64, 48],
            "duration": 1.0,
            "fps": 10.0,
            "time_base": None,
            "audio_rate": 44_100,
        },
        "prompts": {"points": [], "text": None},
        "options": {"fps": "all", "save": ["json"]},
        "device": "cpu",
        "dtype": "fp32",
        "frames": rows,
        "intervals": [[0.0, 0.1], [0.3, 0.4]],
        "objects": [{"object_id": 0}],
        "object_intervals": [{"object_id": 0, "interval": [0.0, 0.1]}, {"object_id": 0, "interval": [0.3, 0.4]}],
        "warnings": ["the track is silent"],
        "timing": {"decode": 1.234568},
    }
    assert list(result)[-1] == "timing"


def test_one_pixel_of_a_huge_frame_is_visible(info: MediaInfo, header: dict, segmentation: Make) -> None:
    mask = np.zeros((2160, 3840), bool)
    mask[5, 7] = True
    row = result_json.frame_row(dataclasses.replace(segmentation(0), mask=mask))
    assert row["area"] == 0.0  # rounded away
    members = dict(result_json.result_members(info, header, lambda: iter([row]), {}, []))
    assert list(members["intervals"]) == [[0.0, 0.1]]


def test_rows_with_labels_fit_the_schema(segmentation: Make, info: MediaInfo, header: dict) -> None:
    frames = [dataclasses.replace(segmentation(n), label="dog" if n else None, label_score=0.75) for n in range(2)]
    rows = [result_json.frame_row(frame) for frame in frames]
    assert [row.get("label") for row in rows] == [None, "dog"]
    members = result_json.result_members(info, header, lambda: iter(rows), {}, [])
    result = {name: list(value) if hasattr(value, "__next__") else value for name, value in members}
    jsonschema.validate(result, json.loads(result_json.SCHEMA_FILE.read_text()))
    assert result["objects"] == [{"object_id": 0, "label": "dog", "label_score": 0.75}]
