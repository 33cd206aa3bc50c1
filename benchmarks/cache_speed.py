"""Compare the time of an epoch with and without the cache of frozen features.

    python benchmarks/cache_speed.py recipes/stampavs-mini-fuser.yaml [--clips 40] [--rounds 3] [--set KEY=VALUE]

Trains once on the first clips of the recipe's split to fill a new cache, then alternately without and with it. The
script takes the processor time of the training steps (all threads added), without start-up and validation, and prints
the ratio of the medians.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from auralsam2.bench.material import describe_machine
from auralsam2.training.dataset import training_samples
from auralsam2.training.initialise import build_network
from auralsam2.training.lightning_module import AuralModule
from auralsam2.training.recipe import TrainingRecipe


class Steps(pl.Callback):
    """Processor time of the steps of a run."""

    def on_train_start(self, *_: Any) -> None:
        """Start the clock before the data of the first step are read."""
        self.begun = time.process_time()

    def on_train_end(self, *_: Any) -> None:
        """Stop the clock."""
        self.seconds = time.process_time() - self.begun


def epoch(recipe: TrainingRecipe, clips: int, cache: Path | None) -> float:
    """Return the processor seconds of one pass over the first clips."""
    data = dataclasses.replace(recipe.data, cache=None if cache is None else str(cache), workers=0)
    trainer = dataclasses.replace(recipe.trainer, max_steps=clips // recipe.trainer.accumulate)
    recipe = dataclasses.replace(recipe, data=data, trainer=trainer)
    module = AuralModule(
        build_network(recipe),
        recipe,
        training_samples(data, data.split)[:clips],
        training_samples(data, data.validation)[:1],
    )
    steps = Steps()
    pl.Trainer(
        accelerator="cpu",
        max_steps=clips // trainer.accumulate,
        max_epochs=-1,
        accumulate_grad_batches=trainer.accumulate // trainer.clips_per_pass,
        limit_val_batches=0,
        logger=False,
        callbacks=[steps],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    ).fit(module)
    return steps.seconds


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the recipe")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = TrainingRecipe.load(arguments.recipe, arguments.set)
    with tempfile.TemporaryDirectory() as folder:
        filling = epoch(recipe, arguments.clips, Path(folder))
        without, cached = [], []
        for _ in range(arguments.rounds):
            without.append(epoch(recipe, arguments.clips, None))
            cached.append(epoch(recipe, arguments.clips, Path(folder)))
    seconds = {
        "while filling it": filling / arguments.clips,
        "without it": statistics.median(without) / arguments.clips,
        "from it": statistics.median(cached) / arguments.clips,
    }
    print(json.dumps(describe_machine("cpu")))
    print(
        f"{arguments.recipe}, {arguments.clips} clips, {arguments.threads} thread(s), {recipe.trainer.precision}, "
        f"clips_per_pass {recipe.trainer.clips_per_pass}"
    )
    print("processor milliseconds per clip:", ", ".join(f"{name} {1e3 * value:.0f}" for name, value in seconds.items()))
    print(f"without : from the cache = {seconds['without it'] / seconds['from it']:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
