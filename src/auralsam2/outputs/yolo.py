"""YOLO segmentation labels: normalised polygons."""

from __future__ import annotations

import json
from pathlib import Path

from auralsam2.outputs import rle
from auralsam2.outputs.jpeg import encode_jpeg
from auralsam2.outputs.mask_table import MaskTable
from auralsam2.outputs.polygons import mask_polygon
from auralsam2.utils.atomic_io import writing


def write_yolo(folder: Path, table: MaskTable, tolerance: float) -> None:
    """Write `images/000000.jpg`, `labels/000000.txt`, … and `data.yaml`, which Ultralytics trains on.

    A line is a category from 0 and a polygon, x and y divided by the size of the frame. A mask of several parts is one
    polygon; see `polygons.mask_polygon`. A frame without an object has an empty file.

    Args:
        folder: empty folder.
        table: the masks; the video is read again.
        tolerance: greatest distance, in pixels, of a border pixel from its polygon.

    Raises:
        InputError: the video cannot be read.
        OutputError: a file cannot be written.
    """
    names = "".join(f"  {number - 1}: {json.dumps(name)}\n" for name, number in table.categories.items())
    with writing(folder):
        (folder / "data.yaml").write_text(f"train: images\nval: images\nnames:\n{names}", encoding="utf-8")
        (folder / "images").mkdir()
        (folder / "labels").mkdir()
        for frame, rows in table.processed_pictures():
            name = f"{rows[0]['index']:06d}"
            (folder / "images" / f"{name}.jpg").write_bytes(encode_jpeg(frame.image))
            lines = [
                _line(table.category_of(row) - 1, row["rle"], tolerance) for row in rows if rle.rle_area(row["rle"])
            ]
            (folder / "labels" / f"{name}.txt").write_text("".join(lines), encoding="utf-8")


def _line(category: int, mask: rle.Rle, tolerance: float) -> str:
    height, width = mask["size"]
    # Some readers round to a pixel, others truncate: with a quarter of a pixel, both find it.
    points = (mask_polygon(rle.decode_rle(mask), tolerance) + 0.25) / (width, height)
    return f"{category} {' '.join(f'{value:.6f}' for value in points.ravel().tolist())}\n"
