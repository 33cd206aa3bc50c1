"""Restoration of a session from its exported archive, which is treated as untrusted input."""

from __future__ import annotations

import errno
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from auralsam2.errors import InputError
from auralsam2.studio import mask_codec
from auralsam2.studio.command_log import MAX_BYTES
from auralsam2.studio.commands import MAX_OBJECTS
from auralsam2.studio.session_state import SessionState
from auralsam2.studio.settings import Limits
from auralsam2.studio.storage import RefusalError, SessionFolder
from auralsam2.studio.uploads import VIDEO_NAMES, Advance, import_video, safe_name
from auralsam2.utils import strict_json

_MASK = re.compile(r"masks/(0|[1-9][0-9]{0,2})/([0-9]{6})\.bin")
_MAX_MASK_BYTES = 16_000_000
_UNCHECKED_BYTES, _MAX_RATIO = 4_000_000, 100
"""Size up to which any member is unpacked, in bytes, and maximum compression ratio of larger ones."""
_MAX_MEMBERS = 200_000
_CHUNK = 1 << 20
_KIND = "an exported session"
_REMEDY = "choose a .zip that the studio exported as a session"


def restore_session(folder: SessionFolder, file: Path, limits: Limits, advance: Advance) -> SessionState:
    """Fill the folder of a session from an archive.

    Args:
        folder: folder of the new session.
        file: the archive.
        limits: limits, as for an upload.
        advance: called with the processed share of the video.

    Raises:
        RefusalError: invalid archive, or its video is not accepted.
    """
    with ExitStack() as stack:
        with archive_errors():
            archive = stack.enter_context(zipfile.ZipFile(file))
        return _restore(folder, archive, limits, advance)


def _restore(folder: SessionFolder, archive: zipfile.ZipFile, limits: Limits, advance: Advance) -> SessionState:
    names = archive.namelist()
    if len(names) > _MAX_MEMBERS:
        raise RefusalError(413, f"more than {_MAX_MEMBERS} files in the archive: {_REMEDY}")
    videos = [name for name in names if name in VIDEO_NAMES]
    if len(videos) != 1 or names.count("session.json") != 1:
        raise RefusalError(422, f"not an exported session: {_REMEDY}")
    document = _document(read_member(archive, "session.json", strict_json.MAX_BYTES))
    name = document.get("name")
    name = safe_name(name if isinstance(name, str) else "")
    video = folder.path / "restored"
    with archive_errors():
        _copy(
            archive,
            videos[0],
            video,
            limits.upload,
            "the video is too large: start the studio with a larger --max-upload",
        )
    fps = document.get("fps")
    if not isinstance(fps, int | float) or isinstance(fps, bool):
        raise RefusalError(422, f"not an exported session: it names no fps: {_REMEDY}")
    every = document.get("every") is True
    clip = import_video(folder, video, name, float(fps), limits, advance, every=every)
    for entry in dict.fromkeys(names):
        if match := _MASK.fullmatch(entry):
            number, tick = int(match[1]), int(match[2])
            if number < MAX_OBJECTS and tick < len(clip.times):
                _write_mask(folder, number, tick, read_member(archive, entry, _MAX_MASK_BYTES))
    if names.count(folder.log.name) == 1:
        with archive_errors():
            _copy(archive, folder.log.name, folder.log, MAX_BYTES, "its log is too large: export a shorter session")
    try:
        state = SessionState(folder, clip, document | {"name": name})
    except InputError as error:
        raise RefusalError(422, str(error)) from error
    state.save()
    return state


def _document(data: bytes) -> dict[str, Any]:
    try:
        document = strict_json.parse_json(data)
    except ValueError as error:
        raise RefusalError(422, f"session.json in the archive is damaged: {_REMEDY}") from error
    if not isinstance(document, dict):
        raise RefusalError(422, f"session.json in the archive is damaged: {_REMEDY}")
    return document


def read_member(archive: zipfile.ZipFile, name: str, limit: int, kind: str = _KIND, remedy: str = _REMEDY) -> bytes:
    """Read a member of at most `limit` bytes; the size that the archive declares limits the output.

    Args:
        archive: opened archive.
        name: of the member.
        limit: in bytes.
        kind: of the archive, for messages.
        remedy: end of the messages.

    Raises:
        RefusalError: the member is too large, a zip bomb, or damaged.
    """
    with archive_errors(kind, remedy):
        member = archive.getinfo(name)
        bomb = member.file_size > max(_UNCHECKED_BYTES, _MAX_RATIO * member.compress_size)
        if member.file_size > limit or bomb:
            raise RefusalError(413, f"{Path(name).name} in the archive is too large: {remedy}")
        return archive.read(member)


def _copy(archive: zipfile.ZipFile, name: str, path: Path, limit: int, refusal: str) -> None:
    size = 0
    with archive.open(name) as source, path.open("xb") as target:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > limit:
                raise RefusalError(413, f"the archive is refused: {refusal}")
            target.write(chunk)


@contextmanager
def archive_errors(kind: str = _KIND, remedy: str = _REMEDY) -> Iterator[None]:
    """Convert errors of the zip library.

    Args:
        kind: of the archive, for messages.
        remedy: end of the messages.

    Raises:
        RefusalError: the archive is damaged, encrypted, or compressed by an unsupported method.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # such as a full disk
            raise
        raise RefusalError(422, f"not {kind}: {remedy}") from error
    except (
        zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError, LookupError, ValueError,
        OverflowError,
    ) as error:  # fmt: skip
        raise RefusalError(422, f"not {kind}: {remedy}") from error


def _write_mask(folder: SessionFolder, number: int, tick: int, data: bytes) -> None:
    """Write a mask; a mask whose header names another object or frame is skipped."""
    try:
        header, _ = mask_codec.unpack_mask(data)
    except InputError as error:
        raise RefusalError(422, f"a mask in the archive is damaged: {_REMEDY}") from error
    if (header.object_id, header.tick) == (number, tick):
        folder.write_mask(number, tick, data)
