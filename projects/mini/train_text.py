"""Train the reading stage: `python -m projects.mini.train_text RECIPE [--set KEY=VALUE] [--resume]`.

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
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers.utils.logging import disable_progress_bar

from auralsam2.errors import ConfigError, UsageError
from auralsam2.training.optimiser import warm_cosine
from auralsam2.utils.weights import WEIGHTS_FILE
from projects.mini import text_tokeniser as spelling
from projects.mini.evaluate_text import TextEvaluation
from projects.mini.export import export_text_encoder, half_precision
from projects.mini.stage_loop import TEXT_COLUMNS, LogTable, TextCheckpoint, replace, stage_arguments
from projects.mini.text_data import SentenceBatches, SentenceSplit, SentenceStream
from projects.mini.text_network import TextReader, TextRecipe, read_text_recipe

CHECKPOINT, LOG, FIGURES, TOKENISER, MODEL = "checkpoint.pt", "log.csv", "figures.json", "tokenizer.json", "model"

_log = logging.getLogger(__name__)


class TextStage:
    """A run of a recipe.

    Args:
        recipe: what to do.
        resume: go on where the checkpoint in `recipe.out` was written.

    Raises:
        UsageError: there is a checkpoint, and `resume` is not set.
        ConfigError: the checkpoint is of another model.
    """

    def __init__(self, recipe: TextRecipe, *, resume: bool = False) -> None:
        self.recipe, self.out = recipe, Path(recipe.out)
        saved = TextCheckpoint.read(self.out / CHECKPOINT)
        if saved and not resume:
            raise UsageError(f"{self.out}: holds a checkpoint: go on from it with --resume, or name another out=")
        self.out.mkdir(parents=True, exist_ok=True)
        self.sentences = self._sentences("train")
        self.tokeniser = self._tokeniser(anew=saved is None)
        torch.manual_seed(recipe.seed)
        self.reader = TextReader(recipe, self.tokeniser.get_vocab_size(), self.sentences.names)
        self.optimiser = torch.optim.AdamW(
            self.reader.parameters(), lr=recipe.rate, betas=(0.9, 0.98), weight_decay=recipe.decay
        )
        self.batches = SentenceBatches(self.tokeniser, self.reader, recipe.masked)
        self.step, self.seconds = 0, 0.0
        self.log = LogTable(self.out / LOG, TEXT_COLUMNS, keep=saved.rows if saved else 0)
        if saved:
            self._go_on_from(saved)

    def run(self) -> dict[str, Any]:
        """Train to the end, write the model and test it as it is written; returns the figures."""
        tested = self._held_out(self.recipe.test_scenes)
        watched: dict[str, list[float]] = defaultdict(list)
        began = time.monotonic() - self.seconds
        while self.step < self.recipe.steps:
            for name, value in self._one_step().items():
                watched[name].append(value)
            self.step += 1
            self.seconds = time.monotonic() - began
            last = self.step == self.recipe.steps
            if last or self.step % self.recipe.log_every == 0:
                row = {name: fmean(values) for name, values in watched.items()}
                watched.clear()
                if last or self.step % self.recipe.test_every == 0:
                    row |= tested.measure(self.batches).row()
                self._tell(row)
            if last or self.step % self.recipe.save_every == 0:
                self._save()
        half_precision(self.reader)
        folder = export_text_encoder(self.reader, self.tokeniser, self.out / MODEL)
        figures = {
            "steps": self.step,
            "seconds": round(self.seconds, 1),
            "parameters": sum(weight.numel() for weight in self.reader.language.roberta.parameters()),
            "vocabulary": self.tokeniser.get_vocab_size(),
            "bytes": (folder / WEIGHTS_FILE).stat().st_size,
            **self._held_out(self.recipe.final_scenes).measure(self.batches).to_dict(),
        }
        replace(self.out / FIGURES, (json.dumps(figures, indent=2) + "\n").encode())
        return figures

    def _sentences(self, part: SentenceSplit) -> SentenceStream:
        recipe = self.recipe
        stamps = Path(recipe.stamps) if recipe.stamps else None
        return SentenceStream(part, told=recipe.told, nulls=recipe.nulls, seed=recipe.seed, stamps=stamps)

    def _held_out(self, scenes: int) -> TextEvaluation:
        parts = self._sentences("val"), self._sentences("test-unseen")
        return TextEvaluation(scenes, self.sentences.names, parts)

    def _tokeniser(self, *, anew: bool) -> Tokenizer:
        """That of an earlier part of the run, or one made from the first scenes."""
        path = self.out / TOKENISER
        if path.is_file() and not anew:
            return spelling.load_tokeniser(path)
        texts = (said.text for number in range(self.recipe.listened) for said in self.sentences[number])
        made = spelling.train_tokeniser(texts, self.recipe.vocabulary)
        replace(path, made.to_str().encode())
        return made

    def _go_on_from(self, saved: TextCheckpoint) -> None:
        try:
            self.reader.load_state_dict(saved.reader)
            self.optimiser.load_state_dict(saved.optimiser)
        except (RuntimeError, ValueError) as error:
            path = self.out / CHECKPOINT
            raise ConfigError(f"{path}: of another recipe: remove it to start anew, or name another out=") from error
        self.step, self.seconds = saved.step, saved.seconds

    def _one_step(self) -> dict[str, float]:
        """Learn from one batch; gives names and values of what is watched."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, self.step])
        first = self.step * recipe.scenes
        said = [one for number in range(first, first + recipe.scenes) for one in self.sentences[number]]
        rate = warm_cosine(self.step, rate=recipe.rate, warm_up=recipe.warm_up, steps=recipe.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        losses = self.reader.losses(self.batches.make(said, recipe.cut, rng))
        masked = losses["masked"]
        loss = masked + recipe.claims * (sum(losses.values()) - masked)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.reader.parameters(), recipe.clip_norm)
        self.optimiser.step()
        return {"rate": rate, "loss": loss.item(), **{f"{name}_loss": part.item() for name, part in losses.items()}}

    def _tell(self, row: dict[str, float]) -> None:
        self.log.write({"step": self.step, "seconds": round(self.seconds, 1), **row})
        shown = ("loss", "masked", "claim", "new_told")
        _log.info("%d: %s", self.step, ", ".join(f"{name} {row[name]:.3f}" for name in shown if name in row))

    def _save(self) -> None:
        TextCheckpoint(
            step=self.step,
            seconds=self.seconds,
            rows=self.log.rows,
            reader=self.reader.state_dict(),
            optimiser=self.optimiser.state_dict(),
        ).write(self.out / CHECKPOINT)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""

    def train(path: Path, changes: Sequence[str], resume: bool) -> dict[str, Any]:
        disable_progress_bar()
        return TextStage(read_text_recipe(path, changes), resume=resume).run()

    return stage_arguments("reading", train, arguments)


if __name__ == "__main__":
    sys.exit(main())
