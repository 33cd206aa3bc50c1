"""Several objects in one COCO file: an annotation for each object on each frame, told apart by `track_id`."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from auralsam2.outputs import json_stream, rle
from auralsam2.outputs.formats import Row, coco_annotation, coco_image, frame_row
from auralsam2.outputs.staging import writing
from auralsam2.types import MediaInfo, Segmentation
from auralsam2.version import __version__


def write_coco(path: Path | str, info: MediaInfo, found: Iterable[Segmentation]) -> Path:
    """Write the masks of several objects as COCO instance annotations, one image a frame.

    The id of an image is the frame's index, `track_id` the number of the object. Memory does not depend on how much is
    found; the file appears whole or not at all, as soon as the last frame came.

    Args:
        path: the file; its folder is made where missing.
        info: the video.
        found: the objects of a frame one after the other, each frame once, in any order of frames.

    Returns:
        the file.

    Raises:
        OutputError: the file cannot be written.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = tempfile.TemporaryDirectory(prefix=".auralsam2-", dir=path.parent)
    with hidden as folder, (Path(folder) / "rows").open("w+", encoding="utf-8") as rows:
        for segmentation in found:
            row = frame_row(segmentation) | {"object": segmentation.object}
            with writing(path):
                rows.write(json_stream.dump(row) + "\n")
        with writing(path):
            json_stream.write_object(Path(folder) / path.name, _members(info, rows))
            (Path(folder) / path.name).replace(path)
    return path


def _members(info: MediaInfo, rows: IO[str]) -> Iterator[tuple[str, Any]]:
    yield "info", {"description": f"objects of {info.path.name}", "version": f"auralsam2 {__version__}"}
    yield "licenses", []
    frames = itertools.groupby(_read(rows), key=lambda row: row["index"])
    yield "images", (coco_image(next(group)) for _, group in frames)
    # COCO's evaluation takes an id of 0 for "none".
    numbers = itertools.count(1)
    yield (
        "annotations",
        (
            coco_annotation(row, size) | {"id": next(numbers), "track_id": row["object"]}
            for row in _read(rows)
            if (size := rle.area(row["rle"]))
        ),
    )
    yield "categories", [{"id": 1, "name": "object", "supercategory": "object"}]


def _read(rows: IO[str]) -> Iterator[Row]:
    rows.seek(0)
    for line in rows:
        yield json.loads(line)
