"""Training loop that the stages share: seeded steps, checkpoints, log, tests and command line.

All random numbers of a step follow from its number. A run that is stopped and resumed ends with the weights of an
uninterrupted run.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import logging
import sys
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from statistics import fmean
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from torch import nn

from auralsam2.errors import AuralError, ConfigError, UsageError, message_line
from auralsam2.training.optimiser import warm_cosine
from auralsam2.utils.atomic_io import write_file, writing
from auralsam2.utils.yaml_files import read_config

CHECKPOINT, LOG, FIGURES = "checkpoint.pt", "log.csv", "figures.json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of all stages.

    Attributes:
        out: folder of log, checkpoint and model.
        stamps: folder of stamps; None for the Debian package's.
        seed: seed of weights and samples, 0 or greater.
        decay: weight decay of AdamW.
        clip_norm: maximum norm of the gradient.
        save_every, log_every, test_every: intervals in steps, the first and the third multiples of `log_every`.
    """

    out: str
    stamps: str | None = None
    seed: int = 0
    decay: float = 0.01
    clip_norm: float = 1.0
    save_every: int = 200
    log_every: int = 50
    test_every: int = 500

    def __post_init__(self) -> None:
        self.check_positive("save_every", "log_every", "test_every")
        for name in ("save_every", "test_every"):
            if getattr(self, name) % self.log_every:
                raise ConfigError(
                    f"{name} {getattr(self, name)} must be a multiple of log_every {self.log_every}: a row of the log "
                    "is a mean over the steps since the previous row, which no checkpoint holds"
                )

    def check_positive(self, *names: str) -> None:
        """Raise ConfigError if one of these fields is below 1."""
        for name in names:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)} must be 1 or more")

    @classmethod
    def load(cls, path: Path, changes: Sequence[str] = ()) -> Self:
        """Read a YAML file and apply changes `KEY=VALUE`; errors as of `read_config`."""
        return read_config(cls, path, changes)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Length and learning rate of a phase; a phase of 0 steps is skipped.

    The rate of AdamW rises to `rate` over `warm_up` steps and falls to 0 as a cosine.
    """

    steps: int
    rate: float = 1e-3
    warm_up: int = 100


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """State of a run.

    Index of the phase, completed steps of the phase, training time, rows of the log, trained tensors, and state of
    AdamW, which is empty between phases.
    """

    phase: int
    step: int
    seconds: float
    rows: int
    network: dict[str, torch.Tensor]
    optimiser: dict[str, Any]

    def write(self, path: Path) -> None:
        """Write the checkpoint; the file is the old one or the new one at any time."""
        buffer = io.BytesIO()
        torch.save(vars(self), buffer)
        write_file(path, buffer.getvalue())

    @classmethod
    def read(cls, path: Path) -> Checkpoint | None:
        """Read a checkpoint; None if there is no such file. A damaged file is a ConfigError."""
        if not path.is_file():
            return None
        try:
            return cls(**torch.load(path, map_location="cpu", weights_only=True))
        except (UnpicklingError, RuntimeError, EOFError, TypeError, ValueError, LookupError) as error:
            raise ConfigError(f"{path}: not a checkpoint of this training: remove it to start anew") from error


class LogTable:
    """CSV table that grows row by row.

    The first `rows` rows of an existing file remain; later ones were written after the last checkpoint.
    """

    def __init__(self, path: Path, columns: Sequence[str], rows: int = 0) -> None:
        self.path, self.columns = path, columns
        first = read_log(path)[:rows] if rows else []
        self.rows = len(first)
        write_file(path, self._text([dict(zip(columns, columns, strict=True)), *first]).encode())

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row; missing values stay empty."""
        with writing(self.path), self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(self._text([row]))
        self.rows += 1

    def _text(self, rows: Sequence[Mapping[str, Any]]) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for row in rows:
            values = (row.get(name) for name in self.columns)
            writer.writerow(f"{value:.5g}" if isinstance(value, float) else value for value in values)
        return text.getvalue()


def read_log(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV table; empty if there is no such file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


RecipeType = TypeVar("RecipeType", bound=Recipe)


class Stage(ABC, Generic[RecipeType]):
    """A training run; with `resume`, it continues from the checkpoint in `recipe.out`, if there is one.

    Raises:
        UsageError: there is a checkpoint, and `resume` is false.
        ConfigError: the checkpoint belongs to another recipe.
        OutputError: the folder cannot be written.
    """

    recipe_type: ClassVar[type[Recipe]]
    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)
    columns: ClassVar[tuple[str, ...]]
    """Losses and figures in the log, beside phase, step, seconds and rate."""
    printed: ClassVar[tuple[str, ...]]
    """Those that are also printed."""

    def __init__(self, recipe: RecipeType, *, resume: bool = False) -> None:
        self.recipe, self.out = recipe, Path(recipe.out)
        self.stamps = Path(recipe.stamps) if recipe.stamps else None
        path = self.out / CHECKPOINT
        saved = Checkpoint.read(path)
        if saved and not resume:
            raise UsageError(f"{self.out}: holds a checkpoint: continue it with --resume, or choose another out=")
        with writing(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
        self.phase, self.step, self.seconds = (saved.phase, saved.step, saved.seconds) if saved else (0, 0, 0.0)
        try:
            self.network = self.build_network(saved.network if saved else None)
            self.optimiser = self._build_optimiser()
            if saved and saved.optimiser:
                self.optimiser.load_state_dict(saved.optimiser)
        except (RuntimeError, ValueError) as error:
            raise ConfigError(f"{path}: of another recipe: remove it, or choose another out=") from error
        columns = ("phase", "step", "seconds", "rate", *self.columns)
        self.log = LogTable(self.out / LOG, columns, rows=saved.rows if saved else 0)
        self._values: defaultdict[str, list[float]] = defaultdict(list)

    @property
    @abstractmethod
    def phases(self) -> Mapping[str, Schedule]:
        """Schedule of each phase by name, in order."""

    @abstractmethod
    def build_network(self, state: dict[str, torch.Tensor] | None) -> Any:
        """Build the network of the current phase, with initial weights or from `state`."""

    def state(self) -> dict[str, torch.Tensor]:
        """Return the trained tensors."""
        return self.network.state_dict()

    def start_phase(self) -> None:
        """Prepare the data of the current phase."""

    @abstractmethod
    def compute_loss(self) -> torch.Tensor | None:
        """Compute the loss of the current step and `record` its terms; None if the step has no example."""

    @abstractmethod
    def evaluate(self) -> Mapping[str, Any]:
        """Return figures of the current network for the log."""

    @abstractmethod
    def finish(self) -> dict[str, Any]:
        """Write the model and return its final figures."""

    @property
    def phase_name(self) -> str:
        """Name of the current phase; after the end, of the last one."""
        names = list(self.phases)
        return names[min(self.phase, len(names) - 1)]

    def record(self, name: str, value: float) -> None:
        """Record a value; the log holds its mean."""
        self._values[name].append(value)

    def run(self) -> dict[str, Any]:
        """Train to the end, write the model and return its figures, which `figures.json` holds too."""
        while self.phase < len(self.phases):
            if self.step < self.phases[self.phase_name].steps:
                self.start_phase()
                self._run_phase(self.phases[self.phase_name])
            state = self.state()
            self.phase, self.step = self.phase + 1, 0
            if self.phase < len(self.phases):
                self.network = self.build_network(state)
                self.optimiser = self._build_optimiser()
            self.save()
        figures = self.finish()
        write_file(self.out / FIGURES, (json.dumps(figures, indent=2) + "\n").encode())
        return figures

    def save(self) -> None:
        """Write the checkpoint."""
        Checkpoint(
            phase=self.phase,
            step=self.step,
            seconds=self.seconds,
            rows=self.log.rows,
            network=self.state(),
            optimiser=self.optimiser.state_dict() if self.step else {},
        ).write(self.out / CHECKPOINT)

    def report(self, row: Mapping[str, Any]) -> None:
        """Print the row of the log that was just written."""
        values = ", ".join(f"{name} {row[name]:.3f}" for name in self.printed if row.get(name) is not None)
        _log.info("%s %d: %s", self.phase_name, self.step, values)

    def train_step(self, rate: float) -> None:
        """Make one step of the optimiser."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss = self.compute_loss()
        if loss is None:
            return
        self.record("loss", loss.item())
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        weights = (weight for group in self.optimiser.param_groups for weight in group["params"])
        nn.utils.clip_grad_norm_(weights, self.recipe.clip_norm)
        self.optimiser.step()

    def _run_phase(self, schedule: Schedule) -> None:
        start = time.monotonic() - self.seconds
        while self.step < schedule.steps:
            rate = warm_cosine(self.step, rate=schedule.rate, warm_up=schedule.warm_up, steps=schedule.steps)
            self.train_step(rate)
            self.step += 1
            self.seconds = time.monotonic() - start
            last = self.step == schedule.steps
            if last or self.step % self.recipe.log_every == 0:
                row: dict[str, Any] = {"phase": self.phase_name, "step": self.step, "rate": rate}
                row |= {"seconds": round(self.seconds, 1)}
                row |= {name: fmean(values) for name, values in self._values.items()}
                self._values.clear()
                if last or self.step % self.recipe.test_every == 0:
                    row |= self.evaluate()
                self.log.write(row)
                self.report(row)
            if not last and self.step % self.recipe.save_every == 0:
                self.save()

    def _build_optimiser(self) -> torch.optim.AdamW:
        weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        return torch.optim.AdamW(weights, betas=self.betas, weight_decay=self.recipe.decay)


def run_stage(stage: type[Stage], arguments: Sequence[str] | None) -> int:
    """Run `python -m projects.mini.train_… RECIPE [--set KEY=VALUE] [--resume] [--threads N]`; return the exit code."""
    module = stage.__module__ if stage.__module__ != "__main__" else Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(prog=f"python -m projects.mini.{module.rpartition('.')[2]}")
    parser.add_argument("recipe", type=Path, help="YAML, see projects/mini/recipes/")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="change a value of the recipe")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(options.threads)

    def train() -> None:
        recipe = stage.recipe_type.load(options.recipe, options.set)
        print(json.dumps(stage(recipe, resume=options.resume).run()))

    return exit_code(train)


def exit_code(command: Callable[[], None]) -> int:
    """Run a command and return its exit code; an error of the family is printed on one line."""
    try:
        command()
    except AuralError as error:
        print(message_line("error", error), file=sys.stderr)
        return error.exit_code
    return 0
