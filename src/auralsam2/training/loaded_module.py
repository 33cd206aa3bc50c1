"""Base class of Lightning modules that train on numbered draws of clips."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

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
