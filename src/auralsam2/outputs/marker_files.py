"""Intervals as markers of video editors: FCPXML, and the XML of Final Cut Pro 7."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from auralsam2.outputs.mask_table import MaskTable

_DEFAULT_RATE = 25.0
_MAX_DENOMINATOR = 1001


class Interval(NamedTuple):
    """Interval in which an object sounds and is visible, in seconds."""

    start: float
    end: float
    number: int
    name: str


def timeline_rate(table: MaskTable) -> Fraction:
    """Return the frames per second of an editor's timeline: those of the video, such as 30000/1001.

    25 if the rate of the video is unknown or below 1, as that of a slide show; timelines have no such rates.
    """
    fps = table.info.fps if table.info.fps >= 1 else _DEFAULT_RATE
    return Fraction(fps).limit_denominator(_MAX_DENOMINATOR)


def fcpxml(rows: Sequence[Interval], table: MaskTable) -> str:
    """Return FCPXML 1.9 with the video as one clip and a marker for each interval.

    Final Cut Pro and DaVinci Resolve read it. The video is named by its file name, to be relinked. All times are
    multiples of the frame duration, as the format demands.
    """
    rate = timeline_rate(table)
    frames = max(1, round(table.info.duration * rate), *(_frames(row, rate)[1] for row in rows))
    root = Element("fcpxml", version="1.9")
    resources = SubElement(root, "resources")
    size = {"width": str(table.info.width), "height": str(table.info.height)}
    SubElement(resources, "format", {"id": "r1", "frameDuration": _time(1, rate)} | size)
    length = {"start": "0s", "duration": _time(frames, rate)}
    sound = {"hasAudio": "1", "audioSources": "1", "audioChannels": "2"} if table.sound is not None else {}
    name = {"name": _printable(table.video_name)}
    asset = SubElement(resources, "asset", name | {"id": "r2", "hasVideo": "1", "format": "r1"} | length | sound)
    SubElement(asset, "media-rep", kind="original-media", src=quote(table.video_name))
    event = SubElement(SubElement(root, "library"), "event", name=_stem(table))
    project = SubElement(event, "project", name=_stem(table))
    sequence = SubElement(project, "sequence", format="r1", duration=_time(frames, rate), tcStart="0s", tcFormat="NDF")
    spine = SubElement(sequence, "spine")
    clip = SubElement(spine, "asset-clip", name | {"ref": "r2", "offset": "0s"} | length)
    for row in rows:
        first, last = _frames(row, rate)
        SubElement(
            clip,
            "marker",
            start=_time(first, rate),
            duration=_time(last - first, rate),
            value=_printable(row.name) or "object",
        )
    return _document(root, "fcpxml")


def final_cut_xml(rows: Sequence[Interval], table: MaskTable) -> str:
    """Return version 5 of the XML of Final Cut Pro 7: a sequence with a marker for each interval.

    Premiere Pro and DaVinci Resolve read it.
    """
    rate = timeline_rate(table)
    root = Element("xmeml", version="5")
    sequence = SubElement(root, "sequence")
    _text(sequence, "name", _stem(table))
    last_frames = (_frames(row, rate)[1] for row in rows)
    _text(sequence, "duration", max(1, round(table.info.duration * rate), *last_frames))
    timing = SubElement(sequence, "rate")
    _text(timing, "timebase", round(rate))
    _text(timing, "ntsc", str(rate.denominator == _MAX_DENOMINATOR).upper())
    SubElement(SubElement(SubElement(sequence, "media"), "video"), "track")
    for row in rows:
        first, last = _frames(row, rate)
        marker = SubElement(sequence, "marker")
        _text(marker, "name", row.name)
        _text(marker, "comment", f"object {row.number}")
        _text(marker, "in", first)
        _text(marker, "out", last)
    return _document(root, "xmeml")


def _frames(row: Interval, rate: Fraction) -> tuple[int, int]:
    """Return the first frame of an interval and the one after its last."""
    first = round(row.start * rate)
    return first, max(first + 1, round(row.end * rate))


def _time(frames: int, rate: Fraction) -> str:
    time = frames / rate
    return f"{time.numerator}/{time.denominator}s" if time.denominator > 1 else f"{time.numerator}s"


def _stem(table: MaskTable) -> str:
    return _printable(Path(table.video_name).stem)


def _text(parent: Element, tag: str, value: object) -> None:
    SubElement(parent, tag).text = _printable(str(value))


def _printable(text: str) -> str:
    """Return a text without the characters that XML does not allow."""
    return "".join(letter for letter in text if letter.isprintable())


def _document(root: Element, kind: str) -> str:
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE {kind}>\n{body}\n'
