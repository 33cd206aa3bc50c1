"""Conversion of arguments from Python, NumPy, PyTorch and pathlib types to the types that the package computes with."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auralsam2.errors import UsageError, quoted

if TYPE_CHECKING:
    import numpy as np


def as_path(name: str, value: Any) -> Path:
    """Convert a file name.

    Args:
        name: of the parameter, for the message.
        value: text or a path.

    Raises:
        UsageError: it is neither, or empty.
    """
    if isinstance(value, str | os.PathLike):
        text = os.fspath(value)
        if isinstance(text, str) and text:
            return Path(value)
    raise UsageError(f"`{name}={quoted(value)}`: give the name of a file or folder")


def as_text(name: str, value: Any) -> str:
    """Convert text; raise a `UsageError` for anything else and for blank text."""
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"`{name}={quoted(value)}`: give text")
    return str(value)


def as_number(name: str, value: Any) -> float:
    """Convert a finite number of any type, or an array or tensor with one element; raise a `UsageError` for others."""
    number = math.nan
    if not isinstance(value, str | bytes | bool):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError, RuntimeError):
            number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"`{name}={quoted(value)}`: give a number")
    return number


def as_seconds(name: str, value: Any) -> float:
    """Convert a time.

    Args:
        name: of the parameter, for the message.
        value: a number of seconds, or text such as `75.5`, `1:15.5` or `0:01:15.5`.

    Raises:
        UsageError: it is neither, or negative.
    """
    seconds = _clock(value) if isinstance(value, str) else as_number(name, value)
    if not 0 <= seconds < math.inf:
        raise UsageError(f"`{name}={value}`: give 0 or more seconds such as 75.5, or a time such as 1:15.5")
    return seconds


def _clock(text: str) -> float:
    """Return the seconds of `[[H:]M:]S`; NaN for other text."""
    parts = text.strip().split(":")
    try:
        seconds = [*(int(part) for part in parts[:-1]), float(parts[-1])]
    except ValueError:
        return math.nan
    if len(parts) > 3 or (len(parts) > 1 and any(not 0 <= part < 60 for part in seconds[1:])):
        return math.nan
    total = 0.0
    for part in seconds:
        total = 60 * total + part
    return total


def as_rate(name: str, value: Any) -> float | None:
    """Convert frames per second; None or `all` gives None.

    Raises:
        UsageError: it is not a positive number.
    """
    if value is None or (isinstance(value, str) and value == "all"):
        return None
    rate = as_number(name, value) if not isinstance(value, str) else math.nan
    if not rate > 0:
        raise UsageError(f"`{name}={value}`: give a positive number, or all")
    return rate


def as_index(name: str, value: Any) -> int:
    """Convert an integer of any type, 0 or more; raise a `UsageError` for others."""
    try:
        index = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        index = -1
    if index < 0:
        raise UsageError(f"`{name}={quoted(value)}`: give a whole number, 0 or more")
    return index


def as_audio_track(value: Any) -> int | str | None:
    """Convert an argument to the choice of a sound track; text of digits is a number.

    Raises:
        UsageError: it is neither None nor a whole number nor text.
    """
    if value is None:
        return None
    if isinstance(value, str):
        text = as_text("audio_track", value)
        return int(text) if text.isdecimal() else text
    return as_index("audio_track", value)


def as_choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """Check that a value is one of several texts; raise a `UsageError` for others."""
    names = list(choices)
    if not isinstance(value, str) or value not in names:
        raise UsageError(f"`{name}={quoted(value)}`: choose from {', '.join(names)}")
    return str(value)


def as_array(name: str, value: Any) -> np.ndarray:
    """Convert an array, a tensor on any device, an image of Pillow, or nested sequences of numbers.

    Raises:
        UsageError: it is none of these.
    """
    import numpy as np

    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu()
        if "bfloat16" in str(value.dtype):
            value = value.float()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        array = np.empty(0, object)
    if array.dtype.kind not in "biuf":
        raise UsageError(f"`{name}={quoted(value)}`: give an array of numbers")
    return array
