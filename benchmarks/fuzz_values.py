"""Mutations of bytes, text and plain values, drawn from a random generator."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np

_FRAGMENTS = (
    "[" * 3000, "{a: " * 300, "2021-13-45", "2021-02-30", "1" + "0" * 5000, "0b_", "0x_", "1_", "!!int ''", "!!float x",
    "!!timestamp x", "!!python/object:os.system x", "&a [*a]", "*a", "? ", "\t", "\0", "\x85", "\ufeff", "'", '"', "%",
    "@", ".nan", ".inf", "-1", "1e999", "null", "true", "~", "---", "<<: {a: 1}", ": ", "- ", ",", "\n", "é", "𝄞",
)  # fmt: skip
_DEEP: list[Any] = []
for _ in range(60):
    _DEEP = [_DEEP]
UNUSUAL: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 7, 1000, 2**31, 2**63, -(2**63), 10**30, 10**290, 0.0, -0.0, 0.5, -1.5, 1e-300,
    1e300, "", " ", "x", "..", "../x", "/", "\0", "a\nb", "\ud7ff", "x" * 300, "x" * 70_000, "1", "auto", "paper",
    [], [[]], {}, {"": 0}, {"a": {"b": 1}}, [0], [1, 2, 3], [0.1, 0.1, 0.1], [None], ["x"] * 50, _DEEP,
)  # fmt: skip


def mutated_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut a file, flip bits, overwrite a block with zeros or noise, or copy a block elsewhere."""
    changed, size = bytearray(data), max(1, len(data))
    kind = int(rng.integers(5))
    if kind == 0:
        return bytes(changed[: int(rng.integers(size))])
    if kind == 1 and data:
        for offset in rng.integers(0, size, int(rng.integers(1, 40))):
            changed[int(offset)] ^= 1 << int(rng.integers(8))
    elif kind in (2, 3):
        start, length = int(rng.integers(size)), int(rng.integers(1, 400))
        changed[start : start + length] = bytes(length) if kind == 2 else rng.bytes(length)
    else:
        source, target = (int(offset) for offset in rng.integers(0, size, 2))
        changed[target:target] = changed[source : source + int(rng.integers(1, 2000))]
    return bytes(changed)


def mutated_text(text: str, rng: np.random.Generator) -> str:
    """Insert fragments that are difficult to parse, or remove, copy or swap lines."""
    for _ in range(int(rng.integers(1, 4))):
        lines = text.split("\n")
        line, target = (int(index) for index in rng.integers(0, len(lines), 2))
        kind = int(rng.integers(5))
        if kind == 0:
            del lines[line]
        elif kind == 1:
            lines.insert(target, lines[line])
        elif kind == 2:
            lines[line], lines[target] = lines[target], lines[line]
        elif kind == 3:
            head, mark, _ = lines[line].partition(":")
            lines[line] = f"{head}{mark} {_FRAGMENTS[int(rng.integers(len(_FRAGMENTS)))]}"
        else:
            position = int(rng.integers(len(lines[line]) + 1))
            fragment = _FRAGMENTS[int(rng.integers(len(_FRAGMENTS)))]
            lines[line] = lines[line][:position] + fragment + lines[line][position:]
        text = "\n".join(lines)
    return text


def mutated_value(value: Any, rng: np.random.Generator) -> Any:
    """Replace, remove, repeat or scale one to three values inside nested lists and dictionaries."""
    changed = copy.deepcopy(value)
    for _ in range(int(rng.integers(1, 4))):
        positions = list(_positions(changed))
        if not positions:
            return UNUSUAL[int(rng.integers(len(UNUSUAL)))]
        outer, key = positions[int(rng.integers(len(positions)))]
        kind, old = int(rng.integers(8)), outer[key]
        if kind == 0 and isinstance(outer, dict):
            del outer[key]
        elif kind == 1 and isinstance(old, list):
            outer[key] = old * int(rng.integers(0, 30))
        elif kind == 2 and isinstance(old, int | float) and math.isfinite(old):
            outer[key] = type(old)(old * int(rng.choice([-1, 0, 2, 3, 1000])))
        elif kind == 3:
            other, name = positions[int(rng.integers(len(positions)))]
            outer[key] = copy.deepcopy(other[name])
        else:
            outer[key] = copy.deepcopy(UNUSUAL[int(rng.integers(len(UNUSUAL)))])
    return changed


def _positions(value: Any) -> Any:
    """Yield each list or dictionary inside a value with each of its indices or keys."""
    pending = [value]
    while pending:
        outer = pending.pop()
        if isinstance(outer, dict | list):
            keys = list(outer) if isinstance(outer, dict) else range(len(outer))
            for key in keys:
                yield outer, key
                pending.append(outer[key])


def unfinished(folder: Path) -> list[Path]:
    """Return the hidden and partial files in a folder and its subfolders."""
    return [path for path in folder.rglob("*") if path.name.startswith(".") or path.name.endswith(".part")]
