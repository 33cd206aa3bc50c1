"""What a run leaves behind as it goes: a table of figures, and a checkpoint from which it can go on."""

from __future__ import annotations

import argparse
import csv
import io
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch

from auralsam2.errors import AuralError, ConfigError, message_line
from auralsam2.utils.atomic_io import writing

Kind = TypeVar("Kind")


class LogTable:
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


def stage_arguments(
    stage: str, train: Callable[[Path, Sequence[str], bool], dict[str, Any]], arguments: Sequence[str] | None
) -> int:
    """Run `python -m auralsam2.training.STAGE.train RECIPE [--set KEY=VALUE] [--resume] [--threads N]`.

    Args:
        stage: name of the package.
        train: given the recipe, the changes to it and whether to resume, trains and returns figures, which are printed.
        arguments: of the command line; None for the process's own.

    Returns:
        the exit code.
    """
    parser = argparse.ArgumentParser(prog=f"python -m auralsam2.training.{stage}.train")
    parser.add_argument("recipe", type=Path, help="YAML, see recipes/")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change a value of the recipe")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(options.threads)
    try:
        figures = train(options.recipe, options.set, options.resume)
    except AuralError as error:
        print(message_line("error", error), file=sys.stderr)
        return error.exit_code
    print(json.dumps(figures))
    return 0


PROMPT_COLUMNS = (
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


class PromptLog(LogTable):
    """The table of figures; see `Table`."""

    def __init__(self, path: Path, keep: int = 0) -> None:
        super().__init__(path, PROMPT_COLUMNS, keep)


@dataclass(frozen=True, kw_only=True)
class PromptCheckpoint:
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
        """Write it; see `write_checkpoint`."""
        write_checkpoint(vars(self), path)

    @classmethod
    def read(cls, path: Path) -> PromptCheckpoint | None:
        """Read one; see `read_checkpoint`."""
        return read_checkpoint(cls, path)


TEXT_COLUMNS = (
    "step",
    "seconds",
    "rate",
    "loss",
    "masked_loss",
    "name_loss",
    "place_loss",
    "hearing_loss",
    "masked",
    "name",
    "place",
    "hearing",
    "claim",
    "new_place",
    "new_hearing",
    "new_told",
)
"""Losses of training, then figures of held-out scenes, then, as "new", of held-out things."""


@dataclass(frozen=True, kw_only=True)
class TextCheckpoint:
    """A checkpoint.

    Attributes:
        step: steps done.
        seconds: of training so far.
        rows: of the log so far.
        reader: tensors of the network.
        optimiser: its state.
    """

    step: int
    seconds: float
    rows: int
    reader: dict[str, torch.Tensor]
    optimiser: dict[str, Any]

    def write(self, path: Path) -> None:
        """Write it; see `write_checkpoint`."""
        write_checkpoint(vars(self), path)

    @classmethod
    def read(cls, path: Path) -> TextCheckpoint | None:
        """Read one; see `read_checkpoint`."""
        return read_checkpoint(cls, path)
