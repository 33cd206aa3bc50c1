"""JSON objects larger than memory: an iterator among the members becomes an array with one item per line.

The layout is plain JSON for any reader. The lines let this module read it back without holding more than one item.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from auralsam2.utils import strict_json


def plain(value: Any) -> Any:
    """Convert a value to JSON types: paths become text, tuples lists, sets sorted lists, dataclasses objects.

    Raises:
        TypeError: a part of it has no JSON form.
        ValueError: a number is not finite.
    """
    return json.loads(dump(value))


def dump(value: Any) -> str:
    """Return a value as JSON on one line; see `plain`."""
    return json.dumps(value, default=_as_json, allow_nan=False)


def write_object(path: Path, members: Iterable[tuple[str, Any]]) -> None:
    """Write one JSON object; a value that is an iterator is written as an array while it runs.

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("{")
        opening = "\n"
        for name, value in members:
            file.write(f"{opening}{dump(name)}: ")
            opening = ",\n"
            if isinstance(value, Iterator):
                file.write("[")
                item_opening = "\n  "
                for item in value:
                    file.write(item_opening + dump(item))
                    item_opening = ",\n  "
                file.write("\n]")
            else:
                file.write(dump(value))
        file.write("\n}\n")


def write_nested(file: TextIO, value: Any) -> None:
    """Write a JSON value of any depth, in which iterators become arrays; `read_object` cannot read it back in parts.

    Args:
        file: the file to write to.
        value: JSON types; an iterator among them is written while it runs.

    Raises:
        OSError: the file cannot be written.
    """
    if isinstance(value, dict):
        file.write("{")
        for number, (name, item) in enumerate(value.items()):
            file.write(f"{', ' if number else ''}{dump(name)}: ")
            write_nested(file, item)
        file.write("}")
    elif isinstance(value, list | Iterator):
        file.write("[")
        for number, item in enumerate(value):
            if number:
                file.write(", ")
            write_nested(file, item)
        file.write("]")
    else:
        file.write(dump(value))


def read_object(path: Path) -> Iterator[tuple[str, Any]]:
    """Read the members of a file of `write_object`.

    Yields:
        Name and value of each member; of an array that was streamed, its name with each of its items.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is cut short, not JSON, laid out by another program, or has a line that `strict_json`
            refuses.
    """
    with path.open(encoding="utf-8") as file:
        if file.readline(2) != "{\n":
            raise ValueError(f"{path}: not laid out by auralsam2")
        array: str | None = None
        while line := file.readline(strict_json.MAX_BYTES + 1):
            text = line.rstrip("\n").removesuffix(",")
            if array is None and text == "}":
                return
            if array is not None and text == "]":
                array = None
            elif array is not None:
                yield array, strict_json.parse_json(text)
            elif text.endswith(": ["):
                array = _name(text.removesuffix(": ["))
            else:
                yield from strict_json.parse_json("{" + text + "}").items()
    raise ValueError(f"{path}: cut short")


def _name(text: str) -> str:
    name = strict_json.parse_json(text)
    if not isinstance(name, str):
        raise ValueError(f"{text[:40]} is not the name of a member")
    return name


def _as_json(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{value!r} has no JSON form")
