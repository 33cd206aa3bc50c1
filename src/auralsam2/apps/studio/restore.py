"""A session out of the archive that `session` exports: everything in it is checked as if a stranger had made it."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

from auralsam2.apps.studio import payload
from auralsam2.apps.studio.commands import MOST_OBJECTS
from auralsam2.apps.studio.refusal import RefusalError
from auralsam2.apps.studio.settings import Limits
from auralsam2.apps.studio.state import State
from auralsam2.apps.studio.store import Clip, Folder
from auralsam2.apps.studio.upload import VIDEO_NAMES, Advance, admit, plain_name
from auralsam2.errors import InputError

_MASK = re.compile(r"masks/(0|[1-9][0-9]{0,2})/([0-9]{6})\.bin")
_LONGEST_DOCUMENT = 200_000_000
_LARGEST_MASK = 16_000_000
_PIECE = 1 << 20
_REMEDY = "choose a .zip that the studio exported as a session"


def restore(folder: Folder, file: Path, limits: Limits, advance: Advance) -> State:
    """Fill the folder of a session from an archive.

    Args:
        folder: of the session to be.
        file: the archive.
        limits: bounds, as for an upload.
        advance: told the part of the video that was looked through.

    Raises:
        RefusalError: it is no such archive, or its video is not taken.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return _restore(folder, archive, limits, advance)
    # What the library says of archives that are damaged, encrypted or packed in ways it does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, KeyError) as error:
        raise RefusalError(422, f"not an exported session: {_REMEDY}") from error


def _restore(folder: Folder, archive: zipfile.ZipFile, limits: Limits, advance: Advance) -> State:
    names = archive.namelist()
    videos = [name for name in names if name in VIDEO_NAMES]
    if len(videos) != 1 or names.count("session.json") != 1:
        raise RefusalError(422, f"not an exported session: {_REMEDY}")
    document = _document(_read(archive, "session.json", _LONGEST_DOCUMENT))
    name = plain_name(str(document.get("name", "")))
    video = folder.path / "restored"
    with archive.open(videos[0]) as source, video.open("xb") as target:
        _copy(source, target, limits)
    fps = document.get("fps")
    if not isinstance(fps, int | float):
        raise RefusalError(422, f"not an exported session: it names no fps: {_REMEDY}")
    clip = admit(folder, video, name, float(fps), limits, advance)
    for entry in names:
        if match := _MASK.fullmatch(entry):
            _keep_mask(folder, clip, int(match[1]), int(match[2]), _read(archive, entry, _LARGEST_MASK))
    try:
        state = State(folder, clip, document | {"name": name})
    except InputError as error:
        raise RefusalError(422, str(error)) from error
    state.save()
    return state


def _document(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RefusalError(422, f"session.json in the archive is damaged: {_REMEDY}") from error
    if not isinstance(document, dict):
        raise RefusalError(422, f"session.json in the archive is damaged: {_REMEDY}")
    return document


def _read(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    with archive.open(name) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise RefusalError(413, f"{Path(name).name} in the archive is too large: {_REMEDY}")
    return data


def _copy(source: IO[bytes], target: IO[bytes], limits: Limits) -> None:
    got = 0
    while piece := source.read(_PIECE):
        got += len(piece)
        if got > limits.upload:
            raise RefusalError(
                413, "the video in the archive is too large: start the studio with a larger --max-upload"
            )
        target.write(piece)


def _keep_mask(folder: Folder, clip: Clip, number: int, tick: int, data: bytes) -> None:
    """Take a mask over, if it is one of this session."""
    try:
        header, _ = payload.unpack(data)
    except InputError as error:
        raise RefusalError(422, f"a mask in the archive is damaged: {_REMEDY}") from error
    if (header.object, header.tick) == (number, tick) and number < MOST_OBJECTS and tick < len(clip.times):
        folder.keep_mask(number, tick, data)
