"""Contents of `result.json` and `coco.json`.

Each frame becomes a row at once. Both files are written from the rows in one or more passes, without holding them in
memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from auralsam2.outputs import rle
from auralsam2.types import MediaInfo, Segmentation
from auralsam2.version import __version__

SCHEMA = "auralsam2.result/1"

Row = dict[str, Any]
Rows = Callable[[], Iterator[Row]]
"""Start a new pass over the rows of all frames."""


def frame_row(segmentation: Segmentation) -> Row:
    """Return one frame as an entry of `frames` in `result.json`.

    `time` is in seconds, `area` a fraction of the frame, `iou` in [0, 1]; all are rounded to 1e-6. A score that is not
    finite becomes None, since JSON has no such number.
    """
    mask = segmentation.mask
    return {
        "index": segmentation.index,
        "time": _rounded(segmentation.time),
        "area": _rounded(float(mask.mean())),
        "iou": _rounded(segmentation.iou),
        "object_score": _rounded(segmentation.object_score),
        "sounding": bool(segmentation.sounding),
        "rle": rle.encode_rle(mask),
    }


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
            "path": str(info.path),
            "size": [info.width, info.height],
            "duration": _rounded(info.duration),
            "fps": _rounded(info.fps),
            "audio_rate": info.audio_rate,
        },
    )
    for name in ("prompts", "options", "device", "dtype"):
        yield name, header[name]
    yield "frames", rows()
    yield "intervals", sounding_intervals(rows(), info)
    yield "warnings", list(warnings)
    yield "timing", {stage: _rounded(seconds) for stage, seconds in timing.items()}


def sounding_intervals(rows: Iterable[Row], info: MediaInfo) -> Iterator[list[float]]:
    """Yield the intervals in which an object sounds and is visible; see `intervals`.

    Args:
        rows: rows of the object, one per processed frame.
        info: properties of the video.
    """
    visible = ((row["time"], row["sounding"] and rle.rle_area(row["rle"]) > 0) for row in rows)
    return intervals(visible, spacing=1 / info.fps if info.fps > 0 else 0.0, end=info.duration or math.inf)


def intervals(frames: Iterable[tuple[float, bool]], *, spacing: float, end: float) -> Iterator[list[float]]:
    """Join frames into time intervals.

    An interval starts at its first frame and ends at the start of the next frame without a visible object. The last one
    may end one spacing after the last frame, but not beyond the end of the video.

    Args:
        frames: time in seconds, ascending, and whether a sounding object is visible, for each processed frame.
        spacing: seconds of a single frame; with more frames, the last two define it.
        end: end of the video in seconds.

    Yields:
        [start, end] in seconds, start <= end, ascending and disjoint.
        [start, end] in seconds, start <= end, ascending and apart.
    """
    start: float | None = None
    last: float | None = None
    for time, visible in frames:
        # At a rate above the video's own, a picture is repeated with the same time.
        if last is not None and time > last:
            spacing = time - last
        if visible and start is None:
            start = time
        elif not visible and start is not None:
            yield [start, time]
            start = None
        last = time
    if start is not None and last is not None:
        yield [start, round(max(last, min(last + spacing, end)), 6)]


def _rounded(value: float) -> float | None:
    value = float(value)
    return round(value, 6) if math.isfinite(value) else None
