"""COCO instance annotations; `track_id` identifies an object over the frames."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from auralsam2.outputs import rle
from auralsam2.outputs.result_json import Row, Rows, frame_row
from auralsam2.types import MediaInfo, Segmentation
from auralsam2.utils import json_stream
from auralsam2.utils.atomic_io import writing
from auralsam2.version import __version__

_LICENSE = 0


def coco_members(info: MediaInfo, rows: Rows) -> Iterator[tuple[str, Any]]:
    """Yield the members of `coco.json`: one image per frame, one annotation per mask that is not empty.

    The id of an image is the frame's index. Ids of annotations start at 1, since COCO's evaluation reserves 0 for
    "none".
    """
    yield from coco_head(f"sounding objects of {info.path.name}")
    yield "images", (coco_image(row, "frames/") for row in rows())
    yield "annotations", (coco_annotation(row, size) for row in rows() if (size := rle.rle_area(row["rle"])))
    yield "categories", [coco_category(1, "sounding object")]


def coco_head(description: str) -> Iterator[tuple[str, Any]]:
    """Yield the members about the file; author and date of the video are unknown."""
    unknown = {"contributor": "", "date_created": "", "url": "", "year": 0}
    yield "info", {"description": description, "version": f"auralsam2 {__version__}"} | unknown
    yield "licenses", [{"id": _LICENSE, "name": "", "url": ""}]


def coco_category(number: int, name: str) -> dict[str, Any]:
    """Return a COCO category."""
    return {"id": number, "name": name, "supercategory": "object"}


def coco_image(row: Row, folder: str = "") -> dict[str, Any]:
    """Return the COCO image of a frame, with all fields of the format; `folder` ends with a slash."""
    height, width = row["rle"]["size"]
    return {
        "id": row["index"],
        "file_name": f"{folder}{row['index']:06d}.jpg",
        "width": width,
        "height": height,
        "license": _LICENSE,
        "flickr_url": "",
        "coco_url": "",
        "date_captured": "",
    }


def coco_annotation(row: Row, pixels: int) -> dict[str, Any]:
    """Return the COCO annotation of the only mask of a frame, with its area in pixels."""
    return {
        "id": row["index"] + 1,
        "image_id": row["index"],
        "category_id": 1,
        "segmentation": row["rle"],
        "area": pixels,
        "bbox": rle.bounding_box(row["rle"]),
        "iscrowd": 0,
        "score": row["iou"],
    }


def write_coco(
    path: Path | str, info: MediaInfo, segmentations: Iterable[Segmentation], names: Mapping[int, str] | None = None
) -> Path:
    """Write the masks of several objects as COCO instance annotations, one image per frame.

    The id of an image is the frame's index, its file `000012.jpg` for index 12; `track_id` is the number of the object.
    Every object is an instance (`iscrowd` 0) with its mask as run lengths. Tools that find images by their names, such
    as CVAT, read the file. Memory does not grow with the number of masks. The file appears whole or not at all.

    Args:
        path: the file; its folder is created if missing.
        info: properties of the video.
        segmentations: the masks of each frame in sequence, each frame once, in any order of frames.
        names: names of all objects by number: each name is a category, which objects of the same name share. None: the
            category of all is "object".

    Returns:
        the file.

    Raises:
        OutputError: the file cannot be written.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(prefix=".auralsam2-", dir=path.parent)
    with temporary as folder, (Path(folder) / "rows").open("w+", encoding="utf-8") as rows:
        for segmentation in segmentations:
            row = frame_row(segmentation) | {"object": segmentation.object_id}
            with writing(path):
                rows.write(json_stream.dump(row) + "\n")
        with writing(path):
            json_stream.write_object(Path(folder) / path.name, _members(info, rows, names))
            (Path(folder) / path.name).replace(path)
    return path


def _members(info: MediaInfo, rows: IO[str], names: Mapping[int, str] | None) -> Iterator[tuple[str, Any]]:
    yield from coco_head(f"objects of {info.path.name}")
    frames = itertools.groupby(_read(rows), key=lambda row: row["index"])
    yield "images", (coco_image(next(group)) for _, group in frames)
    categories = {name: id_ for id_, name in enumerate(dict.fromkeys(names.values() if names else ["object"]), 1)}
    # COCO's evaluation reserves the id 0 for "none".
    numbers = itertools.count(1)
    yield (
        "annotations",
        (
            coco_annotation(row, size)
            | {
                "id": next(numbers),
                "category_id": categories[names[row["object"]] if names else "object"],
                "track_id": row["object"],
            }
            for row in _read(rows)
            if (size := rle.rle_area(row["rle"]))
        ),
    )
    yield "categories", [coco_category(id_, name) for name, id_ in categories.items()]


def _read(rows: IO[str]) -> Iterator[Row]:
    rows.seek(0)
    for line in rows:
        yield json.loads(line)
