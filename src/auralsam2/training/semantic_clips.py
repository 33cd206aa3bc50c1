"""Clips for training and validation of the second stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from auralsam2.data.images import read_frame, read_grey
from auralsam2.data.load import load_audio, load_clip
from auralsam2.data.sample import Sample
from auralsam2.errors import UnavailableError
from auralsam2.semantics.second_stage import square_guide, square_picture
from auralsam2.semantics.stage_config import SecondStageConfig
from auralsam2.training.dataset import EpochOrder, crop_frames
from auralsam2.training.semantic_recipe import SemanticDataConfig

ORDER, GUIDES, FRAMES = 4, 5, 6
"""Uses of random numbers, beside those of `training.dataset` and `training.lightning_module`."""


class SemanticClip(NamedTuple):
    """The labelled frames of a clip.

    Attributes:
        draw: number in the run; in validation, in the split.
        pixels: (T, 3, S, S) uint8 RGB.
        guide: (T, h, w) float in [0, 1].
        log_mel: (T, 2, 96, 64) float32.
        classes: (T, h, w) uint8, 255 to ignore.
    """

    draw: int
    pixels: torch.Tensor
    guide: torch.Tensor
    log_mel: torch.Tensor
    classes: torch.Tensor


class SemanticClips(Dataset[SemanticClip]):
    """Clips of a split by draw number.

    A training clip with a label of its first frame alone, as in V1S, repeats that frame and its label, each time with
    the next second of audio, as published. Other clips have their labelled frames.

    Args:
        samples: of the split.
        stage: sizes.
        data: guide and order.
        training: guide of the training; otherwise that of the validation, in the order of the split.
        seed: of order and guides.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        stage: SecondStageConfig,
        data: SemanticDataConfig,
        *,
        training: bool,
        seed: int = 0,
    ) -> None:
        self.samples, self.stage, self.data, self.training, self.seed = samples, stage, data, training, seed
        self.order = EpochOrder(len(samples), (seed, ORDER) if training and data.shuffle else None)
        """Index of the sample of each draw."""

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, draw: int) -> SemanticClip:
        """Load a clip.

        Raises:
            InputError: a file cannot be read.
            UnavailableError: a mask of the first stage is missing.
        """
        sample = self.samples[self.order[draw]]
        labelled = [number for number, flag in enumerate(sample.supervised) if flag]
        log_mel = load_audio(sample)
        repeated = self.training and labelled == [0]
        shown = self.data.frames_per_clip
        if self.training and shown is not None and shown < len(labelled):
            drawn = np.random.default_rng((self.seed, FRAMES, draw)).choice(labelled, shown, replace=False)
            labelled = sorted(drawn.tolist())
        frames = [0] * len(sample.frames) if repeated else labelled
        cropped = crop_frames(sample, frames[:1] if repeated else frames)
        clip = load_clip(cropped, self.stage.label_size, pictures=False, sound=False)
        assert clip.classes is not None, "the data set has classes"
        classes = clip.classes.expand(len(frames), -1, -1)
        pictures = {t: square_picture(read_frame(sample.frames[t]), self.stage.image_size) for t in set(frames)}
        guide = (classes > 0).float()
        if self._is_predicted(draw):
            guides = {t: self._predicted(sample, t) for t in set(frames)}
            guide = torch.stack([guides[t] for t in frames])
        seconds = list(range(len(frames))) if repeated else frames
        return SemanticClip(draw, torch.stack([pictures[t] for t in frames]), guide, log_mel[seconds], classes)

    def _is_predicted(self, draw: int) -> bool:
        """Return whether the masks of the first stage guide a draw."""
        guide = self.data.guide if self.training else self.data.validation_guide
        if guide != "mixed":
            return guide == "predicted"
        return bool(np.random.default_rng((self.seed, GUIDES, draw)).random() < self.data.predicted_share)

    def _predicted(self, sample: Sample, frame: int) -> torch.Tensor:
        path = Path(self.data.masks or "") / sample.id / f"{frame}.png"
        if not path.is_file():
            dataset = self.data.dataset.removesuffix("-semantic")
            raise UnavailableError(
                f"{path}: no mask of the first stage: write it with auralsam2 evaluate --dataset {dataset} "
                f"--split {sample.split} --save-masks {self.data.masks}"
            )
        return square_guide(read_grey(path), self.stage.label_size)
