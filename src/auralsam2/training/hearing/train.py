"""Train the encoder of sound: `python -m auralsam2.training.hearing.train RECIPE [--set KEY=VALUE] [--resume]`.

All chance in a step comes from the step's own number. So a run that was stopped, however, and is resumed ends with the
weights of one that was not.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from auralsam2.config import CONFIG_FILE, WEIGHTS_FILE
from auralsam2.errors import ConfigError, UsageError
from auralsam2.outputs.staging import writing
from auralsam2.training.build import HEARING
from auralsam2.training.hearing.evaluate import Figures, measure
from auralsam2.training.hearing.network import Tagger, judge
from auralsam2.training.hearing.recipe import Recipe, read
from auralsam2.training.hearing.sounds import Sounds, tests
from auralsam2.training.progress import Table, read_checkpoint, replace, write_checkpoint
from auralsam2.training.schedule import warm_cosine
from auralsam2.training.stage import command
from auralsam2.weights import save_weights

CHECKPOINT, LOG, FIGURES = "checkpoint.pt", "log.csv", "figures.json"
COLUMNS = (
    "step",
    "seconds",
    "rate",
    "loss",
    "tags",
    "place",
    "presence",
    "fresh_top1",
    "fresh_precision",
    "fresh_place",
    "fresh_presence",
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A checkpoint.

    Attributes:
        step: steps done.
        seconds: of training so far.
        rows: of the log so far.
        model: tensors of the tagger.
        optimiser: its state.
    """

    step: int
    seconds: float
    rows: int
    model: dict[str, torch.Tensor]
    optimiser: dict[str, Any]


class Training:
    """A run of a recipe.

    Args:
        recipe: what to do.
        resume: go on where the checkpoint in `recipe.out` was written.

    Raises:
        UsageError: there is a checkpoint, and `resume` is not set.
        ConfigError: the checkpoint is of another model.
    """

    def __init__(self, recipe: Recipe, *, resume: bool = False) -> None:
        self.recipe, self.out = recipe, Path(recipe.out)
        saved = read_checkpoint(Saved, self.out / CHECKPOINT)
        if saved and not resume:
            raise UsageError(f"{self.out}: holds a checkpoint: go on from it with --resume, or name another out=")
        self.stamps = Path(recipe.stamps) if recipe.stamps else None
        self.sounds = Sounds("train", seed=recipe.seed, stamps=self.stamps)
        self.tagger = Tagger(recipe.encoder, len(self.sounds.kinds), recipe.seed)
        self.optimiser = torch.optim.AdamW(self.tagger.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
        self.step, self.seconds = 0, 0.0
        if saved:
            self.step, self.seconds = saved.step, saved.seconds
            try:
                self.tagger.load_state_dict(saved.model)
                self.optimiser.load_state_dict(saved.optimiser)
            except (RuntimeError, ValueError) as error:
                raise ConfigError(f"{self.out / CHECKPOINT}: of another model: remove it to start anew") from error
        with writing(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
        self.log = Table(self.out / LOG, COLUMNS, keep=saved.rows if saved else 0)

    def run(self) -> dict[str, Figures]:
        """Train to the end, write the model, and test it on fresh mixtures and, once, on held-out recordings."""
        recipe = self.recipe
        watched: dict[str, list[float]] = defaultdict(list)
        began = time.monotonic() - self.seconds
        while self.step < recipe.steps:
            rate = warm_cosine(self.step, rate=recipe.rate, warm_up=recipe.warm_up, steps=recipe.steps)
            for name, value in self._one_step(rate).items():
                watched[name].append(value)
            self.step += 1
            self.seconds = time.monotonic() - began
            last = self.step == recipe.steps
            if last or self.step % recipe.log_every == 0:
                row: dict[str, Any] = {name: fmean(values) for name, values in watched.items()}
                watched.clear()
                if last or self.step % recipe.test_every == 0:
                    tested = measure(self.tagger, "fresh", recipe.test_examples, self.stamps).to_dict()
                    row |= {f"fresh_{name}": value for name, value in tested.items()}
                self.log.write(row | {"step": self.step, "seconds": round(self.seconds, 1), "rate": rate})
                _log.info("%d: %s", self.step, ", ".join(f"{k} {v:.3f}" for k, v in row.items() if v is not None))
            if last or self.step % recipe.save_every == 0:
                self._write_model()
                self._save()
        found = {
            str(part): measure(self.tagger, part, recipe.final_examples, self.stamps) for part in tests(self.stamps)
        }
        told = json.dumps({part: figures.to_dict() for part, figures in found.items()}, indent=2) + "\n"
        with writing(self.out / FIGURES):
            replace(self.out / FIGURES, told.encode())
        return found

    def _one_step(self, rate: float) -> dict[str, float]:
        """Learn from one batch; gives the terms of the loss."""
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        batch = self.sounds.batch(range(self.step * recipe.batch, (self.step + 1) * recipe.batch))
        terms = judge(self.tagger(batch.log_mel), batch)
        loss = terms.tags + recipe.place * terms.place + terms.presence
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.tagger.parameters(), recipe.clip_norm)
        self.optimiser.step()
        parts = {"loss": loss, "tags": terms.tags, "place": terms.place, "presence": terms.presence}
        return {name: value.item() for name, value in parts.items()}

    def _save(self) -> None:
        saved = Saved(
            step=self.step,
            seconds=self.seconds,
            rows=self.log.rows,
            model=self.tagger.state_dict(),
            optimiser=self.optimiser.state_dict(),
        )
        write_checkpoint(vars(saved), self.out / CHECKPOINT)

    def _write_model(self) -> None:
        """Write the encoder alone, as far as it is, in the form that `audio_from` takes."""
        config = json.dumps({"audio_encoder": asdict(self.recipe.encoder)}, indent=2) + "\n"
        state = self.tagger.audio_encoder.state_dict()
        draft = self.out / ".draft"
        with writing(self.out / WEIGHTS_FILE):
            draft.mkdir(exist_ok=True)
            (draft / CONFIG_FILE).write_text(config, encoding="utf-8")
            save_weights({f"{HEARING}{name}": value for name, value in state.items()}, draft)
            for name in (WEIGHTS_FILE, CONFIG_FILE):
                (draft / name).replace(self.out / name)
            draft.rmdir()


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""

    def train(path: Path, changes: Sequence[str], resume: bool) -> dict[str, Any]:
        found = Training(read(path, changes), resume=resume).run()
        return {part: figures.to_dict() for part, figures in found.items()}

    return command("hearing", train, arguments)


if __name__ == "__main__":
    sys.exit(main())
