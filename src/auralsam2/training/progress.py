"""What a run leaves behind as it goes: a table of figures, and a checkpoint from which it can go on."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch

from auralsam2.errors import ConfigError
from auralsam2.outputs.staging import writing

Kind = TypeVar("Kind")


class Table:
    """A CSV table that grows row by row.

    Args:
        path: the file.
        columns: their names.
        keep: rows to keep of one that is there; the rest were written after the last checkpoint, and come again.
    """

    def __init__(self, path: Path, columns: Sequence[str], keep: int = 0) -> None:
        self.path, self.columns = path, columns
        kept = read_log(path)[:keep] if keep else []
        text = self._text([dict.fromkeys(columns, "") | row for row in kept], header=True)
        replace(path, text.encode())
        self.rows = len(kept)

    def write(self, row: dict[str, Any]) -> None:
        """Append a row; what it leaves out stays empty."""
        with writing(self.path), self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(self._text([{name: _short(row.get(name)) for name in self.columns}]))
        self.rows += 1

    def _text(self, rows: Sequence[Mapping[str, Any]], *, header: bool = False) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if header:
            writer.writerow(self.columns)
        writer.writerows([row[name] for name in self.columns] for row in rows)
        return text.getvalue()


def read_log(path: Path) -> list[dict[str, str]]:
    """The rows of a table; none if there is no such file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_checkpoint(values: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values: the file is the old one or the new one, at any moment."""
    buffer = io.BytesIO()
    torch.save(values, buffer)
    replace(path, buffer.getvalue())


def read_checkpoint(kind: type[Kind], path: Path) -> Kind | None:
    """Read what `write_checkpoint` wrote, into a class that takes these values; None if there is no such file.

    Raises:
        ConfigError: it is damaged, or something else.
    """
    if not path.is_file():
        return None
    try:
        return kind(**torch.load(path, map_location="cpu", weights_only=True))
    except (UnpicklingError, RuntimeError, EOFError, TypeError, ValueError, LookupError) as error:
        raise ConfigError(f"{path}: no checkpoint of this training: remove it to start anew") from error


def replace(path: Path, content: bytes) -> None:
    """Write a file beside, then rename it.

    Raises:
        OutputError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.part")
    with writing(path):
        draft.write_bytes(content)
        draft.replace(path)


def _short(value: Any) -> Any:
    return f"{value:.5g}" if isinstance(value, float) else value
