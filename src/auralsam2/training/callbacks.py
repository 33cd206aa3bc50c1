"""Callbacks of training: saved models and images of validation."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.callbacks import Callback

from auralsam2.data.images import read_frame
from auralsam2.modeling.preprocess import to_square
from auralsam2.outputs.overlay import COLOUR, draw_overlay
from auralsam2.training.lightning_module import divergence_error
from auralsam2.utils.atomic_io import write_file, writing

BEST, LAST = "best", "last"
"""Folders of the model with the highest score and of the final model."""


class ModelCheckpoints(Callback):
    """Save the model after each validation with the highest score so far, and at the end.

    The score is the logged value that the module names as `monitor`.

    Args:
        out: folder of the run.
        on_message: called with a line of text at each validation.
    """

    def __init__(self, out: Path, on_message: Callable[[str], None]) -> None:
        self.out, self.on_message, self.best = out, on_message, -1.0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the best model and report the score."""
        monitor = cast(Any, pl_module).monitor
        score = float(trainer.callback_metrics[monitor])
        loss = trainer.callback_metrics.get("train/loss")
        name = monitor.removeprefix("val/")
        message = f"step {trainer.global_step}: {name} {score:.3f}" + (
            "" if loss is None else f", loss {float(loss):.3f}"
        )
        if score > self.best:
            self.best = score
            self._save(trainer, pl_module, BEST)
            message += ", the best so far"
        if trainer.is_global_zero:
            self.on_message(message)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the final model."""
        self._save(trainer, pl_module, LAST)

    def state_dict(self) -> dict[str, Any]:
        """Return the highest score so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the highest score so far."""
        self.best = state_dict["best"]

    def _save(self, trainer: pl.Trainer, module: Any, name: str) -> None:
        if trainer.is_global_zero:
            module.save_model(self.out / name)


class DivergenceStop(Callback):
    """Stop training, before a model or checkpoint is written, where the loss or a weight is not finite.

    Raises (in training):
        ConfigError: with the step and the remedy.
    """

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Check the loss of a clip."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if loss is not None and not bool(torch.isfinite(loss).all()):
            raise divergence_error(trainer.global_step, f"the loss is {float(loss):g}")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the weights that the validation would save."""
        self._check_weights(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check the weights of a checkpoint."""
        self._check_weights(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the weights of the final model."""
        self._check_weights(trainer, pl_module)

    def _check_weights(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        finite = [parameter.isfinite().all() for parameter in module.parameters() if parameter.requires_grad]
        if finite and not bool(torch.stack(finite).all()):
            raise divergence_error(trainer.global_step, "weights are not finite")


CLIPS, FRAMES = 4, 5
"""Number of shown clips, and maximum number of frames of each."""
TRUTH = (64, 200, 120)
FOLDER = "pictures"


class PanelCallback(Callback):
    """Write `pictures/step-000500.png` at each validation.

    Each clip has two rows: ground truth, tinted green, and predicted masks, tinted pink.

    Args:
        out: folder of the run.
    """

    def __init__(self, out: Path) -> None:
        self.folder = out / FOLDER
        self._rows: list[np.ndarray] = []

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the two rows of a clip."""
        if not trainer.is_global_zero or batch_idx >= CLIPS:
            return
        frames = pl_module.held_out.samples[batch.draw].frames
        supervised = batch.supervised.nonzero()[:, 0].tolist()
        size = batch.labels.shape[-1]
        pictures = [to_square(read_frame(frames[t]), size).permute(1, 2, 0).numpy() for t in supervised[:FRAMES]]
        for masks, colour in ((batch.labels[supervised], TRUTH), (outputs, COLOUR)):
            self._rows.append(_row(pictures, masks, colour))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the sheet."""
        if not self._rows:
            return
        sheet, self._rows = np.concatenate(self._rows), []
        path = self.folder / f"step-{trainer.global_step:06d}.png"
        with writing(path):
            self.folder.mkdir(parents=True, exist_ok=True)
        png = io.BytesIO()
        Image.fromarray(sheet).save(png, format="PNG")
        write_file(path, png.getvalue())


def _row(pictures: list[np.ndarray], masks: torch.Tensor, colour: tuple[int, int, int]) -> np.ndarray:
    """Draw the frames of a clip side by side, padded with black: (S, FRAMES · S, 3) uint8."""
    drawn = [
        draw_overlay(picture, mask.cpu().numpy().astype(bool), colour)
        for picture, mask in zip(pictures, masks, strict=False)
    ]
    blank = np.zeros_like(drawn[0])
    return np.concatenate(drawn + [blank] * (FRAMES - len(drawn)), axis=1)
