"""What a run leaves behind as it goes: a table of figures, and a checkpoint from which it can go on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from auralsam2.training.progress import Table, read_checkpoint, write_checkpoint

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


class Log(Table):
    """The table of figures; see `Table`."""

    def __init__(self, path: Path, keep: int = 0) -> None:
        super().__init__(path, COLUMNS, keep)


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
        """Write it; see `write_checkpoint`."""
        write_checkpoint(vars(self), path)

    @classmethod
    def read(cls, path: Path) -> Saved | None:
        """Read one; see `read_checkpoint`."""
        return read_checkpoint(cls, path)
