"""Validation to look at: what was found in the first clips, over their pictures, beside what is true."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from auralsam2.data.images import read_frame
from auralsam2.model import AuralSAM2
from auralsam2.modeling.preprocess import to_square
from auralsam2.outputs.overlay import COLOUR, draw_overlay
from auralsam2.training.lightning_module import J
from auralsam2.utils.atomic_io import writing

BEST, LAST = "best", "last"
"""Folders of the models of highest J and of the end."""


class ModelCheckpoints(Callback):
    """Saves the model at each validation that is the best so far, and at the end.

    Args:
        out: folder of the run.
        tell: is given a line of news.
    """

    def __init__(self, out: Path, tell: Callable[[str], None]) -> None:
        self.out, self.tell, self.best = out, tell, -1.0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the best."""
        score = float(trainer.callback_metrics[J])
        loss = trainer.callback_metrics.get("train/loss")
        news = f"step {trainer.global_step}: J {score:.3f}" + ("" if loss is None else f", loss {float(loss):.3f}")
        if score > self.best:
            self.best = score
            self._save(trainer, pl_module, BEST)
            news += ", the best so far"
        if trainer.is_global_zero:
            self.tell(news)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the last."""
        self._save(trainer, pl_module, LAST)

    def state_dict(self) -> dict[str, Any]:
        """The best J so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse."""
        self.best = state_dict["best"]

    def _save(self, trainer: pl.Trainer, module: Any, name: str) -> None:
        if trainer.is_global_zero:
            learning = module.network.training
            AuralSAM2(module.network, name).save_pretrained(self.out / name)
            module.network.train(learning)


CLIPS, FRAMES = 4, 5
"""How many clips are shown, and of each how many frames at most."""
TRUTH = (64, 200, 120)
FOLDER = "pictures"


class PanelCallback(Callback):
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
        draw_overlay(picture, mask.cpu().numpy().astype(bool), colour)
        for picture, mask in zip(pictures, masks, strict=False)
    ]
    blank = np.zeros_like(drawn[0])
    return np.concatenate(drawn + [blank] * (FRAMES - len(drawn)), axis=1)
