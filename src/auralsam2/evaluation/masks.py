"""Masks of evaluated clips as files, for a second stage that names them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path, PurePosixPath

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from auralsam2.data.samples import LoadedClip
from auralsam2.errors import OutputError
from auralsam2.evaluation.binary import above
from auralsam2.evaluation.prediction import Prediction
from auralsam2.outputs.staging import writing


def save_masks(out: Path, clip: LoadedClip, prediction: Prediction, threshold: float | None) -> None:
    """Write `OUT/<sample id>/<i>.png` for each of the T frames, i from 0: 8 bit, 0 or 255, at the frame's own size.

    The folder appears whole; one from an earlier run is replaced.

    Args:
        out: made where missing.
        clip: gives id and frame sizes.
        prediction: its masks, resized bilinearly as logits.
        threshold: as in `above`.

    Raises:
        OutputError: a file cannot be written, or the id leads out of the folder.
    """
    name = PurePosixPath(clip.sample.id)
    if name.is_absolute() or ".." in name.parts or not name.parts:
        raise OutputError(f"{out}: sample id {clip.sample.id!r} is no name for a folder in it")
    folder = out / name
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".auralsam2-", dir=folder.parent) as hidden:
            whole = Path(hidden) / "masks"
            whole.mkdir()
            for i, (frame, logits) in enumerate(zip(clip.frames, prediction.logits, strict=True)):
                Image.fromarray(_pixels(logits, frame.shape[:2], threshold)).save(whole / f"{i}.png")
            if folder.exists():
                shutil.rmtree(folder)
            whole.rename(folder)


def _pixels(logits: torch.Tensor, size: tuple[int, ...], threshold: float | None) -> np.ndarray:
    full = F.interpolate(logits[None, None].float(), size=size, mode="bilinear", align_corners=False)[0]
    return above(full, threshold)[0].cpu().numpy().astype(np.uint8) * 255
