"""Errors of writing a media file."""

from __future__ import annotations

import errno
from pathlib import Path

from auralsam2.errors import OutputError

_REMEDIES = {
    errno.EACCES: "check the permissions of the folder",
    errno.EPERM: "check the permissions of the folder",
    errno.EROFS: "choose a folder that can be written",
    errno.ENOENT: "make the folder first",
    errno.ENOTDIR: "choose a folder",
    errno.EISDIR: "move the folder of this name",
    errno.EEXIST: "move what has this name",
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "choose a disk that takes larger files",
}


def write_error(path: Path, error: Exception) -> OutputError:
    """Make the error for a media file that cannot be written.

    Args:
        path: the file.
        error: an exception of the system or of FFmpeg.
    """
    reason = getattr(error, "strerror", None) or str(error)
    remedy = _REMEDIES.get(getattr(error, "errno", None) or 0)
    if remedy is None:
        return OutputError(f"{path}: FFmpeg cannot write it ({reason}): leave it out with `save`, or convert the input")
    return OutputError(f"{path}: cannot be written ({reason}): {remedy}")
