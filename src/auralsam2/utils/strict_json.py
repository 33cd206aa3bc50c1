"""Read untrusted JSON with bounds on size, depth and numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

MAX_BYTES = 32 << 20
"""Maximum size of a document."""
MAX_DEPTH = 32
"""Maximum nesting of arrays and objects."""
_MAX_DIGITS = 300
"""Longer integers exceed the range of a float."""


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON document.

    Args:
        text: at most `MAX_BYTES` long.

    Raises:
        ValueError: it is not JSON, too long or too deep, or has a number that is not finite or of more than 300 digits.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"longer than {MAX_BYTES >> 20} MiB")
    try:
        value = json.loads(text, parse_int=_integer, parse_float=_number, parse_constant=_number)
    except RecursionError as error:
        raise ValueError("too many arrays and objects inside each other") from error
    check_depth(value)
    return value


def read_json(path: Path) -> Any:
    """Read a JSON file; errors as of `parse_json`, and OSError."""
    with path.open("rb") as file:
        return parse_json(file.read(MAX_BYTES + 1))


def check_depth(value: Any) -> None:
    """Raise ValueError for lists and dictionaries nested deeper than `MAX_DEPTH`."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for outer in level for inner in _children(outer) if isinstance(inner, list | dict)]
        if not level:
            return
    raise ValueError(f"more than {MAX_DEPTH} arrays and objects inside each other")


def _children(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS + digits.startswith("-"):
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is not a finite number")
    return number
