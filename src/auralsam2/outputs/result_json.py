"""Contents of `result.json` and `coco.json`.

Each frame becomes a row at once. Both files are written from the rows in one or more passes, without holding them in
memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from auralsam2.outputs import rle
from auralsam2.types import MediaInfo, Segmentation
from auralsam2.version import __version__

SCHEMA = "auralsam2.result/2"
SCHEMA_FILE = Path(__file__).with_name("result.schema.json")
"""JSON Schema of `result.json`."""

_GAP = 2e-6
"""Seconds between slots that count as adjacent, since their ends are rounded."""

Row = dict[str, Any]
Rows = Callable[[], Iterator[Row]]
"""Start a new pass over the rows of all frames."""


def frame_row(segmentation: Segmentation) -> Row:
    """Return one frame as an entry of `frames` in `result.json`.

    `time` and `slot` are in seconds, `area` a fraction of the frame, `iou` in [0, 1]; all are rounded to 1e-6. A score
    that is not finite becomes None, since JSON has no such number.
    """
    mask = segmentation.mask
    return {
        "index": segmentation.index,
        "object_id": segmentation.object_id,
        "time": _rounded(segmentation.time),
        "slot": [_rounded(second) for second in segmentation.slot],
        "source_index": segmentation.source_index,
        "pts": segmentation.pts,
        "area": _rounded(float(mask.mean())),
        "iou": _rounded(segmentation.iou),
        "object_score": _rounded(segmentation.object_score),
        "sounding": bool(segmentation.sounding),
        "rle": rle.encode_rle(mask),
    } | (
        {}
        if segmentation.label is None or segmentation.label_score is None
        else {"label": segmentation.label, "label_score": _rounded(segmentation.label_score)}
    )


def result_members(
    info: MediaInfo, header: Mapping[str, Any], rows: Rows, timing: Mapping[str, float], warnings: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    """Yield the members of `result.json` in order; `timing`, which differs between runs, comes last.

    Args:
        info: properties of the video.
        header: `model`, `prompts`, `options`, `device`, `dtype`.
        rows: rows of the frames.
        timing: seconds of each stage.
        warnings: warnings about this result.
    """
    yield "schema", SCHEMA
    yield "auralsam2", __version__
    yield "model", header["model"]
    yield (
        "input",
        {
            "path": info.name or str(info.path),
            "size": [info.width, info.height],
            "duration": _rounded(info.duration),
            "fps": _rounded(info.fps),
            "time_base": None if info.time_base is None else str(info.time_base),
            "audio_rate": info.audio_rate,
        },
    )
    for name in ("prompts", "options", "device", "dtype"):
        yield name, header[name]
    yield "frames", rows()
    silent = _objects_without_audio(header["prompts"])
    yield "intervals", sounding_intervals(row for row in rows() if row["object_id"] not in silent)
    yield "objects", object_members(rows())
    yield "object_intervals", object_intervals(rows())
    yield "warnings", list(warnings)
    yield "timing", {stage: _rounded(seconds) for stage, seconds in timing.items()}


def _objects_without_audio(prompts: Mapping[str, Any]) -> set[int]:
    """Return the objects that other prompts than the audio describe, beside those that the audio does."""
    return {int(number) for number in prompts.get("objects", ())} if prompts.get("audio") else set()


def object_members(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the `object_id` and, with names, the `label` and `label_score` of each object, from its last frame."""
    members: dict[int, dict[str, Any]] = {}
    for row in rows:
        number = row["object_id"]
        names = {key: row[key] for key in ("label", "label_score") if key in row}
        members[number] = {"object_id": number} | (names or members.get(number, {}))
    return [members[number] for number in sorted(members)]


def object_intervals(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Yield `object_id` and `interval` of the parts in which an object sounds and is visible, in order of their ends.

    Args:
        rows: rows of one or more objects, in the order of time.
    """
    current: dict[int, list[float]] = {}
    for row in rows:
        if not (row["sounding"] and rle.rle_area(row["rle"]) > 0):
            continue
        number, (begin, end) = row["object_id"], row["slot"]
        if number in current and begin <= current[number][1] + _GAP:
            current[number][1] = max(current[number][1], end)
            continue
        if number in current:
            yield {"object_id": number, "interval": [_rounded(second) for second in current[number]]}
        current[number] = [begin, end]
    for number, interval in sorted(current.items(), key=lambda item: item[1][1]):
        yield {"object_id": number, "interval": [_rounded(second) for second in interval]}


def sounding_intervals(rows: Iterable[Row]) -> Iterator[list[float]]:
    """Yield the intervals in which an object sounds and is visible; see `intervals`.

    Args:
        rows: rows of one or more objects, in the order of time.
    """
    return intervals(row["slot"] for row in rows if row["sounding"] and rle.rle_area(row["rle"]) > 0)


def intervals(slots: Iterable[Sequence[float]]) -> Iterator[list[float]]:
    """Join the slots of frames into time intervals.

    Args:
        slots: begin and end, in seconds, of each frame with a visible sounding object, in the order of time. Slots of
            several objects on one frame may be equal.

    Yields:
        [start, end] in seconds, rounded to 1e-6, ascending and disjoint.
    """
    current: list[float] | None = None
    for begin, end in slots:
        if current is not None and begin <= current[1] + _GAP:
            current[1] = max(current[1], end)
            continue
        if current is not None:
            yield [round(second, 6) for second in current]
        current = [begin, end]
    if current is not None:
        yield [round(second, 6) for second in current]


def _rounded(value: float) -> float | None:
    value = float(value)
    return round(value, 6) if math.isfinite(value) else None
