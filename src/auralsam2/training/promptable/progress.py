"""What a run leaves behind as it goes: a table of figures, and a checkpoint from which it can go on."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from auralsam2.errors import ConfigError
from auralsam2.outputs.staging import writing

COLUMNS = (
    "phase",
    "step",
    "seconds",
    "rate",
    "loss",
    "mask",
    "dice",
    "iou",
    "score",
    "hint",
    "name",
    "found",
    "kept",
    "sensitivity",
    "box",
    "point",
    "followed",
)


class Log:
    """A CSV table that grows row by row.

    Args:
        path: the file.
        keep: rows to keep of one that is there; the rest were written after the last checkpoint, and come again.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        self.path, self.rows = path, 0
        kept = read_log(path)[:keep] if keep else []
        with writing(path):
            _replace(path, _table([dict.fromkeys(COLUMNS, "") | row for row in kept], header=True).encode())
        self.rows = len(kept)

    def write(self, row: dict[str, Any]) -> None:
        """Append a row; what it leaves out stays empty."""
        with writing(self.path), self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(_table([{name: _short(row.get(name)) for name in COLUMNS}]))
        self.rows += 1


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A checkpoint: the trained part alone.

    Attributes:
        phase: number of the phase.
        step: steps done in it.
        seconds: of training so far.
        rows: of the log so far.
        model: tensors of the trained parts of SAM 2.
        heads: tensors of the linear heads.
        optimiser: its state; empty at the start of a phase.
    """

    phase: int
    step: int
    seconds: float
    rows: int
    model: dict[str, torch.Tensor]
    heads: dict[str, torch.Tensor]
    optimiser: dict[str, Any]

    def write(self, path: Path) -> None:
        """Write it: the file is the old one or the new one, at any moment."""
        buffer = io.BytesIO()
        torch.save(vars(self), buffer)
        with writing(path):
            _replace(path, buffer.getvalue())

    @classmethod
    def read(cls, path: Path) -> Saved | None:
        """Read one; None if there is no such file.

        Raises:
            ConfigError: it is damaged, or something else.
        """
        if not path.is_file():
            return None
        try:
            return cls(**torch.load(path, map_location="cpu", weights_only=True))
        except (UnpicklingError, RuntimeError, EOFError, TypeError, ValueError, LookupError) as error:
            raise ConfigError(f"{path}: no checkpoint of this training: remove it to start anew") from error


def read_log(path: Path) -> list[dict[str, str]]:
    """The rows of a log; none if there is no such file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _table(rows: Sequence[Mapping[str, Any]], *, header: bool = False) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    writer.writerows([row[name] for name in COLUMNS] for row in rows)
    return text.getvalue()


def _short(value: Any) -> Any:
    return f"{value:.5g}" if isinstance(value, float) else value


def _replace(path: Path, content: bytes) -> None:
    """Write beside, then rename."""
    draft = path.with_name(f".{path.name}.part")
    draft.write_bytes(content)
    draft.replace(path)
