"""CVAT XML 1.1 for images and for video, with masks as run lengths."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from xml.sax.saxutils import XMLGenerator

import numpy as np

from auralsam2.outputs import rle
from auralsam2.outputs.mask_table import MaskTable, object_of
from auralsam2.outputs.result_json import Row
from auralsam2.utils.atomic_io import writing


def write_cvat(folder: Path, table: MaskTable) -> None:
    """Write `images.xml`, for a task of the processed frames, and `video.xml`, for a task of the video.

    In `images.xml`, frames are named `000000.jpg`, … as the format `frames` writes them. In `video.xml`, each mask is a
    track of one frame, as CVAT exports masks, with the number of the frame in the video. Empty masks are omitted.

    Args:
        folder: empty folder.
        table: the masks.

    Raises:
        OutputError: a file cannot be written.
    """
    with writing(folder):
        with _document(folder / "images.xml", table, "annotation") as xml:
            for rows in table.frames():
                _write_image(xml, table, rows)
        with _document(folder / "video.xml", table, "interpolation") as xml:
            _write_tracks(xml, table)


def _write_image(xml: Any, table: MaskTable, rows: list[Row]) -> None:
    index = rows[0]["index"]
    size = {"width": str(table.info.width), "height": str(table.info.height)}
    xml.startElement("image", {"id": str(index), "name": f"{index:06d}.jpg"} | size)
    for row in rows:
        if rle.rle_area(row["rle"]):
            label = {"label": table.names[object_of(row)], "source": "auto", "occluded": "0"}
            xml.startElement("mask", label | mask_attributes(row["rle"]) | {"z_order": "0"})
            _attribute(xml, "object", object_of(row))
            xml.endElement("mask")
    xml.endElement("image")


def _write_tracks(xml: Any, table: MaskTable) -> None:
    numbers = count()
    for row in table.rows():
        if not rle.rle_area(row["rle"]):
            continue
        track = {"id": str(next(numbers)), "label": table.names[object_of(row)], "source": "auto"}
        xml.startElement("track", track)
        frame = table.source_frame(row)
        for number, outside in ((frame, "0"), (frame + 1, "1")):
            shape = {"frame": str(number), "keyframe": "1", "outside": outside, "occluded": "0"}
            xml.startElement("mask", shape | mask_attributes(row["rle"]) | {"z_order": "0"})
            _attribute(xml, "object", object_of(row))
            xml.endElement("mask")
        xml.endElement("track")


def mask_attributes(mask: rle.Rle) -> dict[str, str]:
    """Return the attributes of a mask: its box, and the lengths of its runs in reading order, background first."""
    left, top, width, height = (int(value) for value in rle.bounding_box(mask))
    pixels = rle.decode_rle(mask)[top : top + height, left : left + width].ravel()
    edges = np.flatnonzero(np.diff(pixels, prepend=False))
    runs = np.diff(edges, prepend=0, append=pixels.size)
    return {
        "rle": ", ".join(map(str, runs.tolist())),
        "left": str(left),
        "top": str(top),
        "width": str(width),
        "height": str(height),
    }


@contextmanager
def _document(path: Path, table: MaskTable, mode: str) -> Iterator[Any]:
    info = table.info
    with path.open("w", encoding="utf-8") as file:
        # pyright wants attributes of another type than the library takes.
        xml: Any = XMLGenerator(file, encoding="utf-8", short_empty_elements=True)
        xml.startDocument()
        xml.startElement("annotations", {})
        _text(xml, "version", "1.1")
        xml.startElement("meta", {})
        xml.startElement("task", {})
        _text(xml, "name", table.video_name)
        _text(xml, "size", sum(1 for _ in table.frames()))
        _text(xml, "mode", mode)
        xml.startElement("labels", {})
        for name in table.categories:
            xml.startElement("label", {})
            _text(xml, "name", name)
            _text(xml, "type", "mask")
            xml.startElement("attributes", {})
            xml.startElement("attribute", {})
            for tag, value in (("name", "object"), ("mutable", "False"), ("input_type", "text"), ("values", "")):
                _text(xml, tag, value)
            _text(xml, "default_value", "")
            xml.endElement("attribute")
            xml.endElement("attributes")
            xml.endElement("label")
        xml.endElement("labels")
        xml.startElement("original_size", {})
        _text(xml, "width", info.width)
        _text(xml, "height", info.height)
        xml.endElement("original_size")
        xml.endElement("task")
        xml.endElement("meta")
        yield xml
        xml.endElement("annotations")
        xml.endDocument()


def _text(xml: Any, tag: str, value: object) -> None:
    xml.startElement(tag, {})
    xml.characters(str(value))
    xml.endElement(tag)


def _attribute(xml: Any, name: str, value: object) -> None:
    xml.startElement("attribute", {"name": name})
    xml.characters(str(value))
    xml.endElement("attribute")
