"""A training step, as Lightning wants it: a clip goes through a network on a frozen SAM 2, whose own part learns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from auralsam2.config import Conditioning
from auralsam2.data.samples import Sample
from auralsam2.data.stampavs import splits
from auralsam2.data.stampavs.assets import collect
from auralsam2.decoder.prompted import Decoded
from auralsam2.errors import ConfigError
from auralsam2.evaluation.binary import Counts, jaccard
from auralsam2.fuser.aural_fuser import FuserOutput
from auralsam2.network import HearingNetwork
from auralsam2.tracker.tracker import full_size
from auralsam2.training.cache import FeatureCache, encoder_identity
from auralsam2.training.data import Draws, TrainingClip, TrainingClips, ValidationClips, loader
from auralsam2.training.losses import mask_losses
from auralsam2.training.recipe import Recipe
from auralsam2.training.schedule import optimiser, schedule

J = "val/J"
"""Name of the mean J of validation."""
J_TARGET, FALSE_AREA = "val/J_target", "val/false_area"
"""J on frames with a target; share of the picture that is masked on frames without one."""
CALIBRATION = 32
"""Clips that are looked at before training, where something is measured."""
DROPOUT, DRAWING = 2, 3
"""What random numbers are for, beside those of `training.data`."""


class ClipTraining(pl.LightningModule):
    """Trains a network's own part and, unless its rate is 0, the encoder of sound.

    All that is random in a step follows from the seed and the draw number of its clip: a step gives the same after a
    resume, and two processes give what one gives that accumulates two clips.

    Args:
        network: with its first weights.
        recipe: what to do.
        train, validation: the samples.
    """

    def __init__(self, network: HearingNetwork, recipe: Recipe, train: list[Sample], validation: list[Sample]) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe
        self.steps = recipe.trainer.steps(len(train))
        data, size = recipe.data, network.image_size
        self.cache = None
        if data.cache is not None:
            owner = encoder_identity(network, recipe.trainer.precision)
            self.cache = FeatureCache(Path(data.cache), owner, int(data.cache_gigabytes * 1e9), half=data.cache_half)
        voices = None
        if recipe.augment.resound:
            collection = collect(Path(data.stamps) if data.stamps else None)
            voices = splits.pool(collection, splits.held(collection, 0), "train")
        self.clips = TrainingClips(
            train,
            size,
            recipe.model.clip.frames,
            recipe.augment,
            recipe.trainer.seed,
            self.cache,
            voices,
            shown=data.shown,
            rivals=recipe.contrast.matching > 0,
        )
        self.held_out = ValidationClips(validation, size, self.cache)
        network.audio_encoder.requires_grad_(self.hearing_learns)

    @property
    def hearing_learns(self) -> bool:
        """Whether the encoder of sound is trained."""
        return self.recipe.optimiser.audio_encoder_rate > 0

    @property
    def first_samples(self) -> Sequence[Sample]:
        """Some of the training, on which something is measured before it."""
        return self.clips.samples[:CALIBRATION]

    @abstractmethod
    def run_clip(self, clip: TrainingClip, conditioning: Conditioning) -> tuple[FuserOutput | None, Decoded]:
        """The network on a clip; the memory starts from the given frame.

        Returns:
            what the fuser gave, where there is one, and the masks of all T frames, batched.
        """

    def other_losses(
        self, clip: TrainingClip, fused: FuserOutput | None, decoded: Decoded, labels: torch.Tensor, kept: list[int]
    ) -> dict[str, torch.Tensor]:
        """Losses beside those of the masks, with their weights.

        Args:
            clip: the clip.
            fused: of `run_clip`.
            decoded: of `run_clip`.
            labels: of the supervised frames.
            kept: which frames these are.
        """
        return {}

    def training_step(self, clip: TrainingClip, _number: int) -> torch.Tensor:
        """The loss of one clip: masks of supervised frames, and what a method adds."""
        torch.manual_seed(self._seed(DROPOUT, clip.draw))
        fused, decoded = self.run_clip(clip, self.recipe.trainer.conditioning)
        kept = clip.supervised.nonzero()[:, 0].tolist()
        labels = clip.labels[kept]
        masks = mask_losses(
            full_size(decoded.logits[kept], labels.shape[-1]),
            decoded.ious[kept],
            decoded.object_score[kept],
            labels,
            self.recipe.losses,
            waking=self.global_step < self.recipe.losses.waking_steps,
        )
        others = self.other_losses(clip, fused, decoded, labels, kept)
        loss = masks.total
        for value in others.values():
            loss = loss + value
        parts = {"focal": masks.focal, "dice": masks.dice, "iou": masks.iou, "occlusion": masks.occlusion}
        values = {"loss": loss, **parts, **others}
        self.log_dict({f"train/{name}": value.detach() for name, value in values.items()}, batch_size=1)
        return loss

    def validation_step(self, clip: TrainingClip, _number: int) -> torch.Tensor:
        """J of each supervised frame of a clip, its mask chosen by predicted IoU; means over frames are logged.

        Returns:
            (n, S, S) bool: the masks of the n supervised frames.
        """
        _, decoded = self.run_clip(clip, self.recipe.model.clip.conditioning)
        if self.recipe.model.prompting.gated:
            decoded = decoded.gated()
        kept = clip.supervised.nonzero()[:, 0].tolist()
        labels = clip.labels[kept]
        found = full_size(decoded.logits[kept, decoded.best[kept], None], labels.shape[-1])[:, 0] > 0
        score, there = jaccard(Counts.of(found, labels)).float(), labels.flatten(1).any(1)
        # Means over all frames, over those with a target, over those without.
        for name, values in ((J, score), (J_TARGET, score[there]), (FALSE_AREA, found[~there].float().mean((1, 2)))):
            mean = values.mean() if len(values) else score.new_zeros(())
            self.log(name, mean, on_epoch=True, batch_size=len(values), sync_dist=True)
        return found

    def configure_optimizers(self) -> Any:
        """AdamW and the polynomial decay, a step at a time."""
        adam = optimiser(self.network, self.recipe.optimiser)
        decay = schedule(adam, self.steps, self.recipe.optimiser)
        return {"optimizer": adam, "lr_scheduler": {"scheduler": decay, "interval": "step"}}

    def train_dataloader(self) -> Any:
        """From the draw on at which the run stands."""
        trainer, world = self.trainer, self.trainer.world_size
        clips_a_step = self.recipe.trainer.accumulate * world
        draws = Draws(trainer.global_step * clips_a_step, self.steps * clips_a_step, trainer.global_rank, world)
        return loader(self.clips, draws, self.recipe.data.workers)

    def val_dataloader(self) -> Any:
        """The processes share the clips."""
        draws = Draws(0, len(self.held_out), self.trainer.global_rank, self.trainer.world_size)
        return loader(self.held_out, draws, self.recipe.data.workers)

    def state_dict(self, *_: Any, **__: Any) -> dict[str, torch.Tensor]:
        """What learns, and nothing else: frozen weights are no part of a checkpoint."""
        return {
            name: value
            for name, value in self.network.trained_state().items()
            if self.hearing_learns or not name.startswith("audio_encoder.")
        }

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """The inverse, always strict.

        Raises:
            ConfigError: the checkpoint is of another network.
        """
        expected = self.state_dict().keys()
        if extra := sorted(state_dict.keys() - expected):
            raise ConfigError(f"checkpoint: {len(extra)} unexpected: {extra[0]}")
        frozen = {name: value for name, value in self.network.trained_state().items() if name not in expected}
        self.network.load_trained(frozen | dict(state_dict), "checkpoint")

    def _seed(self, use: int, draw: int) -> int:
        """63 bits that tell apart seeds, uses and draws."""
        return (self.recipe.trainer.seed * 8 + use) * 2**32 % 2**62 + draw
