"""COCO instance annotations and YouTube-VIS tracks; `track_id` identifies an object over the frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auralsam2.outputs import rle
from auralsam2.outputs.mask_table import MaskTable, object_of
from auralsam2.outputs.result_json import Row
from auralsam2.utils import json_stream
from auralsam2.utils.atomic_io import writing
from auralsam2.version import __version__

_LICENSE, _VIDEO = 0, 1


def write_coco(path: Path, table: MaskTable) -> None:
    """Write COCO instances: an image per processed frame, an annotation per mask that is not empty.

    The id of an image is the frame's index. An image has the members `video_id`, `frame_id`, `time` (seconds) and
    `source_frame`, and a `file_name` if the frames are exported. Every object is an instance (`iscrowd` 0) with its
    mask as run lengths. Memory does not grow with the number of masks.

    Args:
        path: the file.
        table: the masks.

    Raises:
        OutputError: the file cannot be written.
    """
    with writing(path):
        json_stream.write_object(path, _coco_members(table))


def write_youtube_vis(path: Path, table: MaskTable) -> None:
    """Write YouTube-VIS tracks: one annotation per object, with a segmentation, or null, for each processed frame.

    Args:
        path: the file.
        table: the masks.

    Raises:
        OutputError: the file cannot be written.
    """
    info = table.info
    length = sum(1 for _ in table.frames())
    video: dict[str, Any] = {
        "id": _VIDEO,
        "name": table.video_name,
        "width": info.width,
        "height": info.height,
        "length": length,
        "license": _LICENSE,
        "flickr_url": "",
        "coco_url": "",
        "date_captured": "",
        "times": (rows[0]["time"] for rows in table.frames()),
    }
    if table.images is not None:
        video["file_names"] = (_file_name(table, rows[0]) for rows in table.frames())
    with writing(path), path.open("w", encoding="utf-8") as file:
        members = dict(_head(f"objects of {table.video_name}")) | {
            "videos": [video],
            "annotations": (_track(table, number, length) for number in table.names),
            "categories": _categories(table),
        }
        json_stream.write_nested(file, members)


def _coco_members(table: MaskTable) -> Iterator[tuple[str, Any]]:
    info = table.info
    yield from _head(f"objects of {table.video_name}")
    size = {"width": info.width, "height": info.height}
    yield "videos", [{"id": _VIDEO, "name": table.video_name, **size, "fps": round(info.fps, 6)}]
    yield "images", (_image(table, rows[0]) for rows in table.frames())
    # COCO's evaluation reserves the id 0 for "none".
    numbers = itertools.count(1)
    yield (
        "annotations",
        (
            {
                "id": next(numbers),
                "image_id": row["index"],
                "video_id": _VIDEO,
                "category_id": table.category_of(row),
                "track_id": object_of(row),
                "segmentation": row["rle"],
                "area": area,
                "bbox": rle.bounding_box(row["rle"]),
                "iscrowd": 0,
                "score": row["iou"],
            }
            for row in table.rows()
            if (area := rle.rle_area(row["rle"]))
        ),
    )
    yield "categories", _categories(table)


def _head(description: str) -> Iterator[tuple[str, Any]]:
    """Yield the members about the file; author and date of the video are unknown."""
    unknown = {"contributor": "", "date_created": "", "url": "", "year": 0}
    yield "info", {"description": description, "version": f"auralsam2 {__version__}"} | unknown
    yield "licenses", [{"id": _LICENSE, "name": "", "url": ""}]


def _categories(table: MaskTable) -> list[dict[str, Any]]:
    return [{"id": number, "name": name, "supercategory": "object"} for name, number in table.categories.items()]


def _image(table: MaskTable, row: Row) -> dict[str, Any]:
    """Return the image of a frame, with all fields of the format."""
    image = {
        "id": row["index"],
        "width": table.info.width,
        "height": table.info.height,
        "license": _LICENSE,
        "flickr_url": "",
        "coco_url": "",
        "date_captured": "",
        "video_id": _VIDEO,
        "frame_id": row["index"],
        "time": row["time"],
        "source_frame": table.source_frame(row),
    }
    return image if table.images is None else image | {"file_name": _file_name(table, row)}


def _file_name(table: MaskTable, row: Row) -> str:
    return f"{table.images}{row['index']:06d}.jpg"


def _track(table: MaskTable, number: int, length: int) -> dict[str, Any]:
    """Return the annotation of an object; its arrays are iterators over the frames."""

    def rles() -> Iterator[rle.Rle | None]:
        for rows in table.frames():
            own = (row["rle"] for row in rows if object_of(row) == number and rle.rle_area(row["rle"]))
            yield next(own, None)

    scores = [row["iou"] for row in table.rows() if object_of(row) == number and row["iou"] is not None]
    return {
        "id": number + 1,
        "video_id": _VIDEO,
        "category_id": table.categories[table.names[number]],
        "track_id": number,
        "width": table.info.width,
        "height": table.info.height,
        "length": length,
        "iscrowd": 0,
        "score": sum(scores) / len(scores) if scores else None,
        "segmentations": rles(),
        "areas": (mask and rle.rle_area(mask) for mask in rles()),
        "bboxes": (mask and rle.bounding_box(mask) for mask in rles()),
    }
