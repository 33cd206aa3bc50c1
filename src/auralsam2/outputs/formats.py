"""Registry of the output formats, which the commands `segment` and `export` and the Studio share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from auralsam2.errors import UsageError, quoted


@dataclass(frozen=True, kw_only=True)
class OutputFormat:
    """A format of results.

    Attributes:
        path: name of the file or folder in a result folder.
        content: one line for users.
        members: regular expression for the paths in the folder; None for a file.
        numbered: the folder has one file for each processed frame.
        pictures: the pictures of the video are read again.
        passes: number of passes over the masks.
        object_passes: number of further passes for each object.
    """

    path: str
    content: str
    members: str | None = None
    numbered: bool = False
    pictures: bool = False
    passes: int = 1
    object_passes: int = 0

    def owns(self, name: str) -> bool:
        """Return whether a path in the folder, with slashes, is one that this package writes."""
        return self.members is not None and re.fullmatch(self.members, name) is not None


def parse_formats(argument: str, value: Any) -> frozenset[str]:
    """Convert an argument to names of formats: text separated by commas, or a collection of text.

    Raises:
        UsageError: it is neither.
    """
    names = value.split(",") if isinstance(value, str) else [*value] if isinstance(value, Iterable) else [None]
    if not all(isinstance(name, str) for name in names):
        raise UsageError(f"`{argument}={quoted(value)}`: give formats, such as overlay and masks")
    return frozenset(str(name).strip() for name in names)


_IMAGES = r"[0-9]{6,}\.png"

FORMATS = {
    "overlay": OutputFormat(path="overlay.mp4", content="H.264 with audio: masks tinted and outlined", pictures=True),
    "masks": OutputFormat(path="masks", content="one PNG per processed frame", members=_IMAGES, numbered=True),
    "frames": OutputFormat(
        path="frames",
        content="one JPEG per processed frame",
        members=r"[0-9]{6,}\.jpg",
        numbered=True,
        pictures=True,
    ),
    "cutout-prores": OutputFormat(
        path="cutout.mov", content="ProRes 4444 with alpha and audio, for video editors", pictures=True
    ),
    "cutout-webm": OutputFormat(path="cutout.webm", content="VP9 with alpha and audio, for browsers", pictures=True),
    "cutout-png": OutputFormat(
        path="cutout-png",
        content="RGBA PNG sequence with timestamps.txt",
        members=_IMAGES + r"|timestamps\.txt",
        pictures=True,
    ),
    "matte": OutputFormat(path="matte.mp4", content="H.264 luma matte with audio", pictures=True),
    "matte-prores": OutputFormat(path="matte.mov", content="ProRes 422 HQ luma matte with audio", pictures=True),
    "coco": OutputFormat(path="coco.json", content="COCO instances with run lengths and video fields", passes=2),
    "ytvis": OutputFormat(path="ytvis.json", content="YouTube-VIS tracks with run lengths", passes=3, object_passes=4),
    "yolo": OutputFormat(
        path="yolo",
        content="YOLO segmentation: frames and normalised polygons",
        members=r"images/[0-9]{6,}\.jpg|labels/[0-9]{6,}\.txt|data\.yaml",
        pictures=True,
    ),
    "cvat": OutputFormat(
        path="cvat", content="CVAT XML 1.1 for images and for video", members=r"(images|video)\.xml", passes=4
    ),
    "labelstudio": OutputFormat(
        path="labelstudio",
        content="Label Studio: brush masks, and a timeline of the video",
        members=r"(brush|timeline)\.(json|xml)",
        object_passes=1,
    ),
    "mots": OutputFormat(
        path="mots", content="MOTS: 16-bit PNG", members=rf"instances/{_IMAGES}|instances/labels\.txt"
    ),
    "davis": OutputFormat(
        path="davis",
        content="DAVIS: frames and palette PNG",
        members=r"Annotations/[0-9]{5,}\.png|JPEGImages/[0-9]{5,}\.jpg|objects\.json",
        pictures=True,
    ),
    "fiftyone": OutputFormat(
        path="fiftyone", content="FiftyOneDataset of the video", members=r"(metadata|samples|frames)\.json"
    ),
    "npz": OutputFormat(path="labels.npz", content="label volume for NumPy", passes=2),
    "intervals": OutputFormat(
        path="intervals",
        content="intervals as CSV, WebVTT, EDL, RTTM and markers (FCPXML, XML of Final Cut Pro 7)",
        members=r"intervals\.(csv|vtt|edl|rttm|fcpxml|xml)",
    ),
    "json": OutputFormat(path="result.json", content="scores, intervals and masks as run lengths"),
}
"""Formats by name, in the order of writing. `result.json` is written last."""

OUTPUT_FILES = {name: entry.path for name, entry in FORMATS.items()}
"""File or folder in a result folder, by format."""
