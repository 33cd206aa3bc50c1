"""COCO files of several objects."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from auralsam2.errors import OutputError
from auralsam2.outputs.coco import write_coco
from auralsam2.types import MediaInfo, Segmentation

INFO = MediaInfo(path=Path("dog.mp4"), width=8, height=6, fps=1.0, duration=3.0, audio_rate=None, audio_channels=0)


def segmentation(index: int, number: int, *, empty: bool = False) -> Segmentation:
    mask = np.zeros((6, 8), np.bool_)
    mask[index : index + 2, number : number + 3] = not empty
    return Segmentation(
        index=index,
        slot=(index / 10, (index + 1) / 10),
        time=index + 0.5,
        mask=mask,
        logits=np.where(mask, 1, -1).astype(np.float32),
        iou=0.25 * number,
        object_score=1.0,
        sounding=True,
        image=np.zeros((6, 8, 3), np.uint8),
        object_id=number,
    )


def test_coco_objects_have_track_ids(tmp_path: Path) -> None:
    frames = [
        segmentation(1, 1),
        segmentation(1, 3),
        segmentation(2, 1),
        segmentation(2, 3, empty=True),
        segmentation(0, 1),
        segmentation(0, 3),
    ]
    path = write_coco(tmp_path / "new" / "coco.json", INFO, iter(frames))
    assert [entry.name for entry in path.parent.iterdir()] == ["coco.json"]
    coco = COCO(str(path))
    assert [image["id"] for image in coco.dataset["images"]] == [1, 2, 0]
    there = [frame for frame in frames if frame.mask.any()]
    assert [row["name"] for row in coco.dataset["categories"]] == ["object"]
    annotations = coco.dataset["annotations"]
    assert [row["id"] for row in annotations] == [1, 2, 3, 4, 5]
    for row, frame in zip(annotations, there, strict=True):
        assert (row["image_id"], row["track_id"], row["score"]) == (frame.index, frame.object_id, frame.iou)
        assert np.array_equal(coco.annToMask(row), frame.mask)
        assert row["bbox"] == [frame.object_id, frame.index, 3, 2]


def test_all_fields_of_coco_exist(tmp_path: Path) -> None:
    """Those of https://cocodataset.org/#format-data, as CVAT writes them too; its import fails without `iscrowd`."""
    frames = [segmentation(1, 1), segmentation(1, 3), segmentation(2, 1)]
    data = json.loads(write_coco(tmp_path / "coco.json", INFO, frames, {1: "dog", 2: "cat", 3: "dog"}).read_text())
    assert list(data) == ["info", "licenses", "images", "annotations", "categories"]
    assert set(data["info"]) == {"year", "version", "description", "contributor", "url", "date_created"}
    assert [set(row) for row in data["licenses"]] == [{"id", "name", "url"}]
    for number, image in zip((1, 2), data["images"], strict=True):
        assert image == {
            "id": number,
            "width": 8,
            "height": 6,
            "file_name": f"00000{number}.jpg",
            "license": data["licenses"][0]["id"],
            "flickr_url": "",
            "coco_url": "",
            "date_captured": "",
        }
    # Objects of one name are of one category.
    assert data["categories"] == [
        {"id": 1, "name": "dog", "supercategory": "object"},
        {"id": 2, "name": "cat", "supercategory": "object"},
    ]
    assert [(row["track_id"], row["category_id"]) for row in data["annotations"]] == [(1, 1), (3, 1), (1, 1)]
    for row in data["annotations"]:
        assert {"id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd"} <= set(row)
        assert row["segmentation"]["size"] == [6, 8]
        assert isinstance(row["segmentation"]["counts"], str)
        assert row["iscrowd"] == 0  # one object, no crowd, though its mask is in run lengths
        assert row["area"] == 6


def test_failure_keeps_the_earlier_file(tmp_path: Path) -> None:
    def failing() -> Iterator[Segmentation]:
        yield segmentation(0, 1)
        raise RuntimeError("stopped")

    path = write_coco(tmp_path / "coco.json", INFO, [segmentation(0, 1)])
    before = path.read_bytes()
    with pytest.raises(RuntimeError):
        write_coco(path, INFO, failing())
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["coco.json"]
    assert len(json.loads(before)["images"]) == 1


def test_impossible_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        write_coco(tmp_path / "file" / "coco.json", INFO, [dataclasses.replace(segmentation(0, 1))])
