"""Several objects in one COCO file: an annotation for each object on each frame, told apart by `track_id`."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from auralsam2.outputs import json_stream, rle
from auralsam2.outputs.formats import Row, coco_annotation, coco_category, coco_head, coco_image, frame_row
from auralsam2.outputs.staging import writing
from auralsam2.types import MediaInfo, Segmentation


def write_coco(
    path: Path | str, info: MediaInfo, found: Iterable[Segmentation], names: Mapping[int, str] | None = None
) -> Path:
    """Write the masks of several objects as COCO instance annotations, one image a frame.

    The id of an image is the frame's index, its file `000012.jpg` for index 12, `track_id` the number of the object.
    Every object is an instance (`iscrowd` 0) with its mask as run lengths; tools that find images by their names, such
    as CVAT, read the file as it is. Memory does not depend on how much is found; the file appears whole or not at all,
    as soon as the last frame came.

    Args:
        path: the file; its folder is made where missing.
        info: the video.
        found: the objects of a frame one after the other, each frame once, in any order of frames.
        names: of all objects by number: each name becomes a category, which objects of one name share. Without it all
            are of the category "object".

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
            json_stream.write_object(Path(folder) / path.name, _members(info, rows, names))
            (Path(folder) / path.name).replace(path)
    return path


def _members(info: MediaInfo, rows: IO[str], names: Mapping[int, str] | None) -> Iterator[tuple[str, Any]]:
    yield from coco_head(f"objects of {info.path.name}")
    frames = itertools.groupby(_read(rows), key=lambda row: row["index"])
    yield "images", (coco_image(next(group)) for _, group in frames)
    categories = {name: id_ for id_, name in enumerate(dict.fromkeys(names.values() if names else ["object"]), 1)}
    # COCO's evaluation takes an id of 0 for "none".
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
            if (size := rle.area(row["rle"]))
        ),
    )
    yield "categories", [coco_category(id_, name) for name, id_ in categories.items()]


def _read(rows: IO[str]) -> Iterator[Row]:
    rows.seek(0)
    for line in rows:
        yield json.loads(line)
