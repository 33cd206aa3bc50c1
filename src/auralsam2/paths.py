"""Paths from outside: tests that never raise, whatever the name, and the suffixes of videos and pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

_EXTENSIONS = (
    ".mp4 .m4v .mov .qt .mkv .webm .avi .divx .mpg .mpeg .mpe .m1v .m2v .mpv .vob .ts .mts .m2ts .m2t "
    ".trp .flv .f4v .wmv .asf .ogv .ogm .3gp .3g2 .mxf .dv .dif .gxf .rm .rmvb .wtv .nut .ivf .y4m "
    ".mjpeg .mjpg .h264 .264 .avc .h265 .265 .hevc .obu .amv .mj2 .gif .apng"
)
VIDEO_EXTENSIONS = frozenset(_EXTENSIONS.split())
"""Suffixes of the files in a folder that count as videos."""
PICTURE_EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
"""Suffixes of the files in a folder that count as pictures."""


def is_address(text: str) -> bool:
    """Return whether a text is an address such as `s3://bucket/clip.mp4`, not a path."""
    return "://" in text


def exists(path: Path) -> bool:
    """Return whether a path exists; False for names that the file system refuses, such as too long ones."""
    return _holds(path.exists)


def is_file(path: Path) -> bool:
    """Return whether a path is a file; False for names that the file system refuses, such as too long ones."""
    return _holds(path.is_file)


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; False for names that the file system refuses, such as too long ones."""
    return _holds(path.is_dir)


def _holds(test: Callable[[], bool]) -> bool:
    try:
        return test()
    except (OSError, ValueError):
        return False
