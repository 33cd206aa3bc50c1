"""Inputs of `auralsam2 segment`: files, folders of videos or pictures, addresses and standard input."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from auralsam2.errors import InputError
from auralsam2.paths import PICTURE_EXTENSIONS, VIDEO_EXTENSIONS

_NAMED = 3
"""Number of passed-over files that a note names."""


@dataclass(frozen=True, kw_only=True)
class SegmentInput:
    """One input.

    Attributes:
        text: as given, or the file in a folder that was given.
        name: name of its result folder; unique in a run.
        copied: whether it is copied to a temporary file: pictures, an address or standard input.
    """

    text: str
    name: str
    copied: bool = False


@dataclass(frozen=True, kw_only=True)
class InputList:
    """The inputs of a run.

    Attributes:
        inputs: in the order of the arguments, and by name in a folder.
        notes: sentences about files that were passed over.
    """

    inputs: tuple[SegmentInput, ...]
    notes: tuple[str, ...] = ()


def list_inputs(arguments: Iterable[str], *, recursive: bool = True) -> InputList:
    """Replace each folder by the videos in it; name the results.

    A folder of pictures without videos is one input. A folder with neither is not replaced; `SegmentOptions.open`
    raises its error. An input whose result has the name of another one gets its whole file name, or a number.

    Args:
        arguments: files, folders, addresses, or `-` for standard input.
        recursive: search folders inside folders too.

    Raises:
        InputError: a folder cannot be read.
    """
    found: list[tuple[str, bool]] = []
    notes: list[str] = []
    for text in arguments:
        if text == "-" or "://" in text:
            found.append((text, True))
        elif os.path.isdir(text):  # noqa: PTH112 - Path.is_dir raises OSError
            videos, others = find_videos(Path(text), recursive=recursive)
            pictures = any(path.suffix.lower() in PICTURE_EXTENSIONS for path in others)
            found += [(str(video), False) for video in videos] or [(text, pictures)]
            if videos and others:
                named = ", ".join(str(path.relative_to(text)) for path in others[:_NAMED])
                more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
                notes.append(f"{text}: passed over {named}{more}: not the ending of a video")
        else:
            found.append((text, False))
    unique = dict.fromkeys(found)
    names = _result_names([text for text, _ in unique])
    inputs = (
        SegmentInput(text=text, name=name, copied=copied) for (text, copied), name in zip(unique, names, strict=True)
    )
    return InputList(inputs=tuple(inputs), notes=tuple(notes))


def find_videos(folder: Path, *, recursive: bool) -> tuple[list[Path], list[Path]]:
    """List the videos and the other files of a folder, by name, without hidden ones.

    Raises:
        InputError: the folder cannot be read.
    """
    files: list[Path] = []

    def fail(error: OSError) -> None:
        raise InputError(f"{error.filename or folder}: cannot be read ({error.strerror})") from error

    for root, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        files += (Path(root) / name for name in names if not name.startswith("."))
    files.sort()
    videos = [path for path in files if path.suffix.lower() in VIDEO_EXTENSIONS]
    return videos, [path for path in files if path.suffix.lower() not in VIDEO_EXTENSIONS]


def _result_names(texts: list[str]) -> list[str]:
    """Return a name for each input: its stem, its file name where stems are equal, or these with a number."""
    paths = [_path_of(text) for text in texts]
    stems = Counter(path.stem.casefold() for path in paths)
    names: list[str] = []
    used: set[str] = set()
    for path in paths:
        name = base = path.stem if stems[path.stem.casefold()] == 1 else path.name
        number = 1
        while name.casefold() in used or (number > 1 and name.casefold() in stems):
            number += 1
            name = f"{base}-{number}"
        used.add(name.casefold())
        names.append(name)
    return names


def _path_of(text: str) -> Path | PurePosixPath:
    if text == "-":
        return Path("stdin")
    if "://" in text:
        address = urlsplit(text)
        return PurePosixPath(address.path.rstrip("/") or address.netloc or "input")
    path = Path(text)
    return path if path.name else path.resolve()
