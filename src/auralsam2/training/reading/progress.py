"""What a run leaves behind as it goes: a table of figures, and a checkpoint from which it can go on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from auralsam2.training.progress import read_checkpoint, write_checkpoint

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
    rows: int
    reader: dict[str, torch.Tensor]
    optimiser: dict[str, Any]

    def write(self, path: Path) -> None:
        """Write it; see `write_checkpoint`."""
        write_checkpoint(vars(self), path)

    @classmethod
    def read(cls, path: Path) -> Saved | None:
        """Read one; see `read_checkpoint`."""
        return read_checkpoint(cls, path)
