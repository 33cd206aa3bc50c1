"""Find required files of a data set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from auralsam2.data.base import MissingError
from auralsam2.errors import InputError, UnavailableError

PICTURES = (".jpg", ".jpeg", ".png")
LABELS = (".png",)
_DIGITS = re.compile("[0-9]+")


def numbered_files(folder: Path, suffixes: Sequence[str]) -> dict[int, Path]:
    """Find the files of a folder with a number after the last `_` of the stem, or as the whole stem.

    Hidden files and files without a number are left out.

    Args:
        folder: where to look.
        suffixes: endings of the files, in lower case.

    Returns:
        the files by number, in rising order.

    Raises:
        MissingError: there is no such folder.
        InputError: it cannot be read, or two files carry one number.
    """
    found: dict[int, Path] = {}
    try:
        paths = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingError(f"{folder}: no such folder") from error
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from error
    for path in paths:
        digits = path.stem.rpartition("_")[2]
        if path.name.startswith(".") or path.suffix.lower() not in suffixes or not _DIGITS.fullmatch(digits):
            continue
        number = int(digits)
        if number in found:
            raise InputError(f"{folder}: {found[number].name} and {path.name} both carry the number {number}")
        found[number] = path
    return dict(sorted(found.items()))


def numbered_from(folder: Path, numbers: Iterable[int], suffixes: Sequence[str]) -> tuple[Path, ...]:
    """Find the files of a folder with the given numbers; see `numbered`.

    Raises:
        MissingError: the folder is not there, or not all numbers are.
        InputError: the folder cannot be read, or two files carry one number.
    """
    numbers = list(numbers)
    found = numbered_files(folder, suffixes)
    missing = [number for number in numbers if number not in found]
    if missing:
        raise MissingError(f"{folder}: no {suffixes[0]} file with number {', '.join(map(str, missing))}")
    return tuple(found[number] for number in numbers)


def existing_file(path: Path) -> Path:
    """Return the path of an existing file.

    Raises:
        MissingError: it is not.
    """
    if not path.is_file():
        raise MissingError(f"{path}: no such file")
    return path


def find_files(root: Path, places: Sequence[str], remedy: str) -> Path:
    """Return the first existing path of several below a folder.

    Args:
        root: folder of the data set.
        places: paths relative to it.
        remedy: what the folder should be, and where to get it.

    Raises:
        UnavailableError: there is nothing in any of them.
    """
    for place in places:
        if (root / place).exists():
            return root / place
    raise UnavailableError(f"{root}: no {' or '.join(places)}: {remedy}; see docs/guide/datasets.md")
