"""Base class of Lightning modules that train on numbered draws of clips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch

from auralsam2.training.dataset import Draws, build_loader


class LoadedModule(pl.LightningModule):
    """Load training and validation clips.

    Attributes:
        recipe: settings with `trainer.accumulate`, `trainer.clips_per_pass` and `data.workers`.
        clips, held_out: data sets of training and validation.
        steps: number of all steps.
    """

    recipe: Any
    clips: Any
    held_out: Any
    steps: int
    _terms: tuple[int, int, dict[str, torch.Tensor]] = (-1, 0, {})

    def log_terms(self, sums: Mapping[str, torch.Tensor], clips: int) -> None:
        """Log terms of the loss as means over the clips of the present step.

        Args:
            sums: sums over the clips of one pass; a step has `trainer.accumulate / trainer.clips_per_pass` passes.
            clips: number of these clips.
        """
        step, count, totals = self._terms
        if step != self.global_step:
            count, totals = 0, {}
        totals = totals | {name: totals.get(name, 0) + value.detach() for name, value in sums.items()}
        self._terms = self.global_step, count + clips, totals
        means = {f"train/{name}": value / (count + clips) for name, value in totals.items()}
        self.log_dict(means, batch_size=clips)

    def train_dataloader(self) -> Any:
        """Load the draws from the current step on."""
        trainer, world = self.trainer, self.trainer.world_size
        clips_a_step = self.recipe.trainer.accumulate * world
        draws = Draws(trainer.global_step * clips_a_step, self.steps * clips_a_step, trainer.global_rank, world)
        together = self.recipe.trainer.clips_per_pass
        return build_loader(self.clips, draws, self.recipe.data.workers, None if together == 1 else together)

    def val_dataloader(self) -> Any:
        """Load the validation clips, divided between the processes."""
        draws = Draws(0, len(self.held_out), self.trainer.global_rank, self.trainer.world_size)
        return build_loader(self.held_out, draws, self.recipe.data.workers)
