"""Label Studio tasks: brush masks on frames, and a timeline of the video."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from auralsam2.outputs import rle
from auralsam2.outputs.mask_table import MaskTable, object_of
from auralsam2.outputs.result_json import Row
from auralsam2.utils import json_stream
from auralsam2.utils.atomic_io import writing

_SIZES = (3, 6, 10, 16)
"""Bits of the four kinds of run lengths."""
_CHANNELS = 4
_LONGEST = 2 ** _SIZES[-1]


def write_label_studio(folder: Path, table: MaskTable) -> None:
    """Write `brush.json` and `timeline.json`, with the labelling interfaces `brush.xml` and `timeline.xml`.

    `brush.json` has one task per processed frame with a brush mask per object; its `image` is the name of the JPEG
    that the format `frames` writes. `timeline.json` has one task with the intervals of each object as ranges of frames,
    which Label Studio counts from 1. The masks are predictions.

    Args:
        folder: empty folder.
        table: the masks.

    Raises:
        OutputError: a file cannot be written.
    """
    labels = "".join(f"<Label value={quoteattr(name)}/>" for name in table.categories)
    brush = (
        '<View><Image name="image" value="$image"/>'
        f'<BrushLabels name="brush" toName="image">{labels}</BrushLabels></View>'
    )
    timeline = (
        f'<View><Video name="video" value="$video" frameRate="{table.info.fps:g}"/>'
        f'<TimelineLabels name="timeline" toName="video">{labels}</TimelineLabels></View>'
    )
    with writing(folder):
        (folder / "brush.xml").write_text(brush + "\n", encoding="utf-8")
        (folder / "timeline.xml").write_text(timeline + "\n", encoding="utf-8")
        with (folder / "brush.json").open("w", encoding="utf-8") as file:
            json_stream.write_nested(file, (_brush_task(table, rows) for rows in table.frames()))
        (folder / "timeline.json").write_text(json.dumps([_timeline_task(table)]), encoding="utf-8")


def encode_brush(mask: rle.Rle) -> list[int]:
    """Encode a mask as Label Studio's run lengths of an RGBA image whose four channels are 0 or 255.

    The bits are: 32 of the number of values, 5 of the bits of a value less 1, four times 4 of the bits of a kind of
    length less 1; then for each run a 1, 2 bits of the kind of length, the length less 1 and the value.

    Returns:
        bytes as integers.
    """
    pixels = rle.decode_rle(mask).ravel()
    edges = np.flatnonzero(np.diff(pixels, prepend=~pixels[:1]))
    lengths = np.diff(edges, append=pixels.size) * _CHANNELS
    bits = [f"{pixels.size * _CHANNELS:032b}{7:05b}", *(f"{size - 1:04b}" for size in _SIZES)]
    for length, value in zip(lengths.tolist(), pixels[edges].tolist(), strict=True):
        while length:
            run = min(length, _LONGEST)
            kind = next(kind for kind, size in enumerate(_SIZES) if run <= 2**size)
            bits.append(f"1{kind:02b}{run - 1:0{_SIZES[kind]}b}{255 * value:08b}")
            length -= run
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def _brush_task(table: MaskTable, rows: list[Row]) -> dict[str, Any]:
    index = rows[0]["index"]
    prefix = table.images or ""
    data = {
        "image": f"{prefix}{index:06d}.jpg",
        "video": table.video_name,
        "time": rows[0]["time"],
        "source_frame": table.source_frame(rows[0]),
    }
    results = [
        {
            "id": f"object-{object_of(row)}",
            "type": "brushlabels",
            "from_name": "brush",
            "to_name": "image",
            "original_width": table.info.width,
            "original_height": table.info.height,
            "image_rotation": 0,
            "value": {
                "format": "rle",
                "rle": encode_brush(row["rle"]),
                "brushlabels": [table.names[object_of(row)]],
            },
            "score": row["iou"],
        }
        for row in rows
        if rle.rle_area(row["rle"])
    ]
    return {"data": data, "predictions": [{"model_version": "auralsam2", "result": results}]}


def _timeline_task(table: MaskTable) -> dict[str, Any]:
    return {
        "data": {"video": table.video_name},
        "predictions": [{"model_version": "auralsam2", "result": list(_timeline_results(table))}],
    }


def _timeline_results(table: MaskTable) -> Iterator[dict[str, Any]]:
    for number, name in table.names.items():
        for position, (start, end) in enumerate(table.intervals(number)):
            first = round(start * table.info.fps) + 1
            last = max(first, round(end * table.info.fps))
            yield {
                "id": f"object-{number}-{position}",
                "type": "timelinelabels",
                "from_name": "timeline",
                "to_name": "video",
                "value": {"ranges": [{"start": first, "end": last}], "timelinelabels": [name]},
            }
