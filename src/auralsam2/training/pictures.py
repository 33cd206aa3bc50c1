"""Validation to look at: what was found in the first clips, over their pictures, beside what is true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from auralsam2.data.picture import read_frame
from auralsam2.outputs.overlay import COLOUR, draw
from auralsam2.outputs.staging import writing
from auralsam2.vision.preprocess import to_square

CLIPS, FRAMES = 4, 5
"""How many clips are shown, and of each how many frames at most."""
TRUTH = (64, 200, 120)
FOLDER = "pictures"


class Pictures(Callback):
    """Writes `pictures/step-000500.png` at each validation, and shows it in TensorBoard where that is the log.

    Two rows a clip: what is true, tinted green, and what was found, tinted pink.

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
        kept = batch.supervised.nonzero()[:, 0].tolist()
        size = batch.labels.shape[-1]
        pictures = [to_square(read_frame(frames[t]), size).permute(1, 2, 0).numpy() for t in kept[:FRAMES]]
        for masks, colour in ((batch.labels[kept], TRUTH), (outputs, COLOUR)):
            self._rows.append(_row(pictures, masks, colour))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the sheet."""
        if not self._rows:
            return
        sheet, self._rows = np.concatenate(self._rows), []
        path = self.folder / f"step-{trainer.global_step:06d}.png"
        with writing(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            beside = path.with_suffix(".part")
            Image.fromarray(sheet).save(beside, format="PNG")
            beside.replace(path)
        if isinstance(trainer.logger, TensorBoardLogger):
            trainer.logger.experiment.add_image("val/found", sheet, trainer.global_step, dataformats="HWC")


def _row(pictures: list[np.ndarray], masks: torch.Tensor, colour: tuple[int, int, int]) -> np.ndarray:
    """The frames of a clip side by side, filled up with black: (S, FRAMES · S, 3) uint8."""
    drawn = [
        draw(picture, mask.cpu().numpy().astype(bool), colour) for picture, mask in zip(pictures, masks, strict=False)
    ]
    blank = np.zeros_like(drawn[0])
    return np.concatenate(drawn + [blank] * (FRAMES - len(drawn)), axis=1)
