"""Intervals as CSV, WebVTT, EDL, RTTM and markers of video editors."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from auralsam2.outputs.marker_files import Interval, fcpxml, final_cut_xml, timeline_rate
from auralsam2.outputs.mask_table import MaskTable
from auralsam2.outputs.result_json import object_intervals
from auralsam2.utils.atomic_io import writing

_TAPE = "AX"
"""Reel of a file in an EDL, as editors write it."""


def write_intervals(folder: Path, table: MaskTable) -> None:
    """Write the intervals of all objects, in order of time.

    - `intervals.csv`: object, name, start and end in seconds.
    - `intervals.vtt`: WebVTT cues with the name of the object.
    - `intervals.edl`: CMX 3600, one cut after the other, non-drop timecode at the rounded rate of the video.
    - `intervals.rttm`: `SPEAKER` lines of NIST RTTM, as diarisation tools read them; blanks in names become `_`.
    - `intervals.fcpxml`: markers for Final Cut Pro and DaVinci Resolve; see `marker_files.fcpxml`.
    - `intervals.xml`: markers for Premiere Pro; see `marker_files.final_cut_xml`.

    Raises:
        OutputError: a file cannot be written.
    """
    members = object_intervals(table.rows())
    rows = sorted(
        Interval(start, end, member["object_id"], table.names[member["object_id"]])
        for member in members
        for start, end in [member["interval"]]
    )
    for suffix, lines in (
        ("csv", _csv(rows)),
        ("vtt", _web_vtt(rows)),
        ("edl", _edl(rows, table)),
        ("rttm", _rttm(rows, table)),
        ("fcpxml", fcpxml(rows, table).splitlines()),
        ("xml", final_cut_xml(rows, table).splitlines()),
    ):
        path = folder / f"intervals.{suffix}"
        with writing(path):
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _csv(rows: list[Interval]) -> Iterator[str]:
    for fields in (("object", "name", "start", "end"), *((row.number, row.name, row.start, row.end) for row in rows)):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(fields)
        yield line.getvalue()


def _web_vtt(rows: list[Interval]) -> Iterator[str]:
    yield "WEBVTT"
    for row in rows:
        yield ""
        yield f"{_clock(row.start)} --> {_clock(row.end)}"
        yield row.name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _edl(rows: list[Interval], table: MaskTable) -> Iterator[str]:
    fps = float(timeline_rate(table))
    yield f"TITLE: {Path(table.video_name).stem}"
    yield "FCM: NON-DROP FRAME"
    position = 0
    for number, row in enumerate(rows, 1):
        first, last = round(row.start * fps), round(row.end * fps)
        last = max(last, first + 1)
        codes = (_timecode(frame, fps) for frame in (first, last, position, position + last - first))
        yield f"{number:03d}  {_TAPE:<8} V     C        {' '.join(codes)}"
        yield f"* FROM CLIP NAME: {table.video_name}"
        yield f"* COMMENT: {row.name}"
        position += last - first


def _rttm(rows: list[Interval], table: MaskTable) -> Iterator[str]:
    stem = re.sub(r"\s", "_", Path(table.video_name).stem)
    for row in rows:
        name = re.sub(r"\s", "_", row.name)
        yield f"SPEAKER {stem} 1 {row.start:.3f} {row.end - row.start:.3f} <NA> <NA> {name} <NA> <NA>"


def _clock(seconds: float) -> str:
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def _timecode(frame: int, fps: float) -> str:
    seconds, frames = divmod(frame, round(fps))
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frames:02d}"
