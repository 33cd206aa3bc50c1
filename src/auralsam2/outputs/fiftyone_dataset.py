"""A data set that FiftyOne imports as `fiftyone.types.FiftyOneDataset`, written without FiftyOne."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from auralsam2.outputs import rle
from auralsam2.outputs.mask_table import MaskTable, object_of
from auralsam2.outputs.result_json import Row
from auralsam2.utils import json_stream
from auralsam2.utils.atomic_io import writing

_FIELD = "objects"


def write_fiftyone(folder: Path, table: MaskTable) -> None:
    """Write `metadata.json`, `samples.json` and `frames.json` of a video with a detection per mask that is not empty.

    Frames have their number in the video, from 1, and detections the number of the object as `index`, its predicted IoU
    as `confidence`, a relative box and the mask in it.

    Args:
        folder: empty folder.
        table: the masks.

    Raises:
        OutputError: a file cannot be written.
    """
    path = table.title or str(table.info.path.resolve())
    sample_id = _identifier(path)
    sample = {
        "_id": {"$oid": sample_id},
        "filepath": path,
        "tags": [],
        "_media_type": "video",
        "metadata": {
            "_cls": "VideoMetadata",
            "frame_width": table.info.width,
            "frame_height": table.info.height,
            "frame_rate": table.info.fps,
            "duration": table.info.duration,
        },
    }
    with writing(folder):
        (folder / "metadata.json").write_text(
            json.dumps({"media_type": "video", "name": "auralsam2"}), encoding="utf-8"
        )
        (folder / "samples.json").write_text(json.dumps({"samples": [sample]}), encoding="utf-8")
        with (folder / "frames.json").open("w", encoding="utf-8") as file:
            json_stream.write_nested(file, {"frames": (_frame(table, rows, sample_id) for rows in table.frames())})


def _frame(table: MaskTable, rows: list[Row], sample_id: str) -> dict[str, Any]:
    number = table.source_frame(rows[0]) + 1
    return {
        "_id": {"$oid": _identifier(f"{sample_id} {number}")},
        "_sample_id": {"$oid": sample_id},
        "frame_number": number,
        _FIELD: {"_cls": "Detections", "detections": list(_detections(table, rows))},
    }


def _detections(table: MaskTable, rows: list[Row]) -> Iterator[dict[str, Any]]:
    width, height = table.info.width, table.info.height
    for row in rows:
        if not rle.rle_area(row["rle"]):
            continue
        x, y, columns, lines = (int(value) for value in rle.bounding_box(row["rle"]))
        mask = rle.decode_rle(row["rle"])[y : y + lines, x : x + columns]
        yield {
            "_id": {"$oid": _identifier(f"{row['index']} {object_of(row)}")},
            "_cls": "Detection",
            "label": table.names[object_of(row)],
            "index": object_of(row),
            "confidence": row["iou"],
            "bounding_box": [x / width, y / height, columns / width, lines / height],
            "mask": {"$binary": {"base64": _packed(mask), "subType": "00"}},
        }


def _packed(mask: np.ndarray) -> str:
    """Return a compressed NumPy array as Base64."""
    buffer = io.BytesIO()
    np.save(buffer, mask, allow_pickle=False)
    return base64.b64encode(zlib.compress(buffer.getvalue())).decode("ascii")


def _identifier(text: str) -> str:
    """Return an object id of MongoDB, 24 hexadecimal digits."""
    return sha256(text.encode()).hexdigest()[:24]
