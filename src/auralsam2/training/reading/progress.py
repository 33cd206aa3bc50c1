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
class Saved:
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
    rows: list[dict[str, float]]
    reader: dict[str, torch.Tensor]
    optimiser: dict[str, Any]

    def write(self, path: Path) -> None:
        """Write it: the file is the old one or the new one, at any moment."""
        buffer = io.BytesIO()
        torch.save(vars(self), buffer)
        replace(path, buffer.getvalue())

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
        except (UnpicklingError, RuntimeError, EOFError, TypeError) as error:
            raise ConfigError(f"{path}: no checkpoint of this training: remove it to start anew") from error


def write_log(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write the table anew; what a row leaves out stays empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.5g}" for name, value in row.items()} for row in rows)
    replace(path, text.getvalue().encode())


def replace(path: Path, content: bytes) -> None:
    """Write a file beside, then rename it.

    Raises:
        OutputError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.part")
    with writing(path):
        draft.write_bytes(content)
        draft.replace(path)
