"""Lightning modules: training and validation of a network on a frozen SAM 2."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from auralsam2.baselines.network import AdapterNetwork
from auralsam2.config import Conditioning
from auralsam2.data.load import load_audio, load_clip
from auralsam2.data.sample import Sample
from auralsam2.errors import ConfigError
from auralsam2.evaluation.metrics import PixelCounts, jaccard
from auralsam2.inference.clip import track_frames
from auralsam2.inference.tracker import full_size
from auralsam2.model_folder import save_network
from auralsam2.modeling.aural_fuser import FuserOutput
from auralsam2.modeling.image_encoder import FrameFeatures, FramePyramid, batch_features, encode_pyramid, encoder_hash
from auralsam2.modeling.mask_decoder import DecoderOutput
from auralsam2.modeling.network import AudioVisualNetwork, AuralNetwork
from auralsam2.modeling.preprocess import normalise, to_square
from auralsam2.stampavs import splits
from auralsam2.stampavs.assets import collect_assets
from auralsam2.stampavs.recordings import extend_pool, read_recordings
from auralsam2.training.contrastive_loss import contrastive_loss
from auralsam2.training.dataset import TrainingClip, TrainingClips, ValidationClips, join_clips
from auralsam2.training.distillation import DistillationTarget, distillation_loss
from auralsam2.training.feature_disk_cache import FeatureDiskCache
from auralsam2.training.initialise import calibrate_audio_input, calibrate_fuser
from auralsam2.training.loaded_module import LoadedModule
from auralsam2.training.losses import mask_losses, matching_loss
from auralsam2.training.optimiser import build_optimiser, build_schedule
from auralsam2.training.recipe import TrainingRecipe

J = "val/J"
"""Mean J of validation."""
J_TARGET, FALSE_AREA = "val/J_target", "val/false_area"
"""J on frames with a target; predicted area, as a share of the image, on frames without."""
CALIBRATION = 32
"""Number of clips used for calibration before training."""
DROPOUT, DRAWING = 2, 3
"""Uses of random numbers, beside those of `training.dataset`."""
Maps = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def divergence_error(step: int, reason: str) -> ConfigError:
    """Make the error of a training that diverged."""
    return ConfigError(
        f"training diverged at step {step}: {reason}: lower optimiser.rate or set trainer.clip_norm in the recipe, and "
        "start again"
    )


class ClipModule(LoadedModule):
    """Train a network on a frozen SAM 2 and, unless its rate is 0, the audio encoder.

    All random numbers of a step follow from the seed and the draw number of its clip. So a resumed run repeats its
    steps exactly, and two processes equal one process that accumulates two clips.

    Args:
        network: with initial weights.
        recipe: settings.
        train, validation: samples.
    """

    monitor = J

    def __init__(
        self, network: AudioVisualNetwork, recipe: TrainingRecipe, train: list[Sample], validation: list[Sample]
    ) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe
        self.steps = recipe.trainer.steps(len(train))
        data, size = recipe.data, network.image_size
        self.cache = None
        if data.cache is not None:
            owner = encoder_hash(network.sam2, recipe.trainer.precision)
            self.cache = FeatureDiskCache(
                Path(data.cache), owner, int(data.cache_gigabytes * 1e9), half=data.cache_half
            )
        voices = more_voices = None
        if recipe.augment.remix_audio:
            collection = collect_assets(Path(data.stamps) if data.stamps else None)
            voices = splits.asset_pool(collection, splits.split_assets(collection, 0), "train")
            if data.recordings is not None:
                more_voices = extend_pool(voices, read_recordings(Path(data.recordings), "train"))
        self.clips = TrainingClips(
            train,
            size,
            recipe.model.clip.frames,
            recipe.augment,
            recipe.trainer.seed,
            self.cache,
            voices,
            more_voices=more_voices,
            frames_per_clip=data.frames_per_clip,
            rivals=recipe.contrast.matching > 0 or recipe.distillation.weight > 0,
        )
        self.held_out = ValidationClips(validation, size, self.cache)
        network.audio_encoder.requires_grad_(self.trains_audio_encoder)

    @property
    def trains_audio_encoder(self) -> bool:
        """Whether the audio encoder is trained."""
        return self.recipe.optimiser.audio_encoder_rate > 0

    @property
    def calibration_samples(self) -> Sequence[Sample]:
        """Training samples for calibration."""
        return self.clips.samples[:CALIBRATION]

    @abstractmethod
    def run_clip(self, clip: TrainingClip, conditioning: Conditioning) -> tuple[FuserOutput | None, DecoderOutput]:
        """Run the network on a clip; the memory starts from the given frame.

        Returns:
            output of the fuser, if there is one, and the masks of all T frames, batched.
        """

    def other_losses(
        self,
        clip: TrainingClip,
        fused: FuserOutput | None,
        decoded: DecoderOutput,
        labels: torch.Tensor,
        supervised: list[int],
    ) -> dict[str, torch.Tensor]:
        """Compute the weighted losses beside the mask losses.

        Args:
            clip: the clip.
            fused: of `run_clip`.
            decoded: of `run_clip`.
            labels: of the supervised frames.
            supervised: indices of these frames.
        """
        return {}

    def training_step(self, clips: TrainingClip | list[TrainingClip], _number: int) -> torch.Tensor:
        """Compute the loss of a clip or the mean loss of several, and log its terms.

        The network computes clips of a list at once if they have no expression.
        """
        together = clips if isinstance(clips, list) else [clips]
        sums: dict[str, torch.Tensor] = {}
        for clip in self.join(together):
            torch.manual_seed(self._seed(DROPOUT, clip.draw))
            for name, value in self.clip_losses(clip).items():
                sums[name] = sums[name] + value if name in sums else value
        self.log_terms(sums, len(together))
        return sums["loss"] / len(together)

    def join(self, clips: list[TrainingClip]) -> list[TrainingClip]:
        """Join clips that the network can compute at once."""
        return clips

    def clip_losses(self, clip: TrainingClip) -> dict[str, torch.Tensor]:
        """Compute the `loss` of a clip and its terms: mask losses of the supervised frames and the method's others."""
        fused, decoded = self.run_clip(clip, self.recipe.trainer.conditioning)
        supervised = clip.supervised.nonzero()[:, 0].tolist()
        labels = clip.labels[supervised]
        masks = mask_losses(
            decoded.logits[supervised],
            decoded.ious[supervised],
            decoded.object_score[supervised],
            labels,
            self.recipe.losses,
            waking=self.global_step < self.recipe.losses.balanced_bce_steps,
        )
        others = self.other_losses(clip, fused, decoded, labels, supervised)
        loss = masks.total
        for value in others.values():
            loss = loss + value
        parts = {"focal": masks.focal, "dice": masks.dice, "iou": masks.iou, "occlusion": masks.occlusion}
        return {"loss": loss, **parts, **others}

    def validation_step(self, clip: TrainingClip, _number: int) -> torch.Tensor:
        """Log J of the supervised frames of a clip; the mask is chosen by predicted IoU.

        Returns:
            (n, S, S) bool, masks of the n supervised frames.

        Raises:
            ConfigError: the masks are not finite.
        """
        _, decoded = self.run_clip(clip, self.recipe.model.clip.conditioning)
        if not bool(decoded.logits.isfinite().all()):
            raise divergence_error(self.global_step, "the masks are not finite")
        if self.recipe.model.extensions.empty_when_absent:
            decoded = decoded.gated()
        supervised = clip.supervised.nonzero()[:, 0].tolist()
        labels = clip.labels[supervised]
        predicted = full_size(decoded.logits[supervised, decoded.best[supervised], None], labels.shape[-1])[:, 0] > 0
        score, present = jaccard(PixelCounts.of(predicted, labels)).float(), labels.flatten(1).any(1)
        # Means over all frames, over those with a target, over those without.
        for name, values in (
            (J, score),
            (J_TARGET, score[present]),
            (FALSE_AREA, predicted[~present].float().mean((1, 2))),
        ):
            mean = values.mean() if len(values) else score.new_zeros(())
            self.log(name, mean, on_epoch=True, batch_size=len(values), sync_dist=True)
        return predicted

    def configure_optimizers(self) -> Any:
        """Build AdamW and the polynomial decay per step."""
        adam = build_optimiser(self.network, self.recipe.optimiser)
        decay = build_schedule(adam, self.steps, self.recipe.optimiser)
        return {"optimizer": adam, "lr_scheduler": {"scheduler": decay, "interval": "step"}}

    def save_model(self, folder: Path) -> None:
        """Write a model folder."""
        save_network(self.network, folder)

    def state_dict(self, *_: Any, **__: Any) -> dict[str, torch.Tensor]:
        """Return the trained tensors; checkpoints hold no frozen weights."""
        return {
            name: value
            for name, value in self.network.trained_state().items()
            if self.trains_audio_encoder or not name.startswith("audio_encoder.")
        }

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Load the tensors of `state_dict`, always strictly.

        Raises:
            ConfigError: the checkpoint belongs to another network.
        """
        expected = self.state_dict().keys()
        if extra := sorted(state_dict.keys() - expected):
            raise ConfigError(f"checkpoint: {len(extra)} unexpected: {extra[0]}")
        frozen = {name: value for name, value in self.network.trained_state().items() if name not in expected}
        self.network.load_trained(frozen | dict(state_dict), "checkpoint")

    def _seed(self, use: int, draw: int) -> int:
        """Return a seed of 63 bits, different for each seed of the run, use and draw."""
        return (self.recipe.trainer.seed * 8 + use) * 2**32 % 2**62 + draw


class AuralModule(ClipModule):
    """Train AuralFuser and, unless its rate is 0, the audio encoder.

    Args:
        network: with initial weights.
        recipe: settings.
        train, validation: samples.
    """

    network: AuralNetwork

    def __init__(
        self, network: AuralNetwork, recipe: TrainingRecipe, train: list[Sample], validation: list[Sample]
    ) -> None:
        super().__init__(network, recipe, train, validation)
        config = recipe.distillation
        if recipe.model.extensions.standardize_inputs and recipe.fuser_from is None:
            clips = [load_clip(sample, network.image_size) for sample in self.calibration_samples]
            images = torch.stack([to_square(clip.frames[0], network.image_size) for clip in clips])
            calibrate_fuser(network, normalise(images), torch.cat([clip.log_mel for clip in clips]))
        self.distillation = DistillationTarget(network, self._first_labels()) if config.weight else None
        if self.distillation is not None and config.calibrate:
            self.distillation.calibrate_gains(network, config.later_gain)

    def _first_labels(self) -> torch.Tensor:
        """Labels of the supervised frames of `calibration_samples`, (N, S, S) bool."""
        size = self.network.image_size
        clips = [load_clip(sample, size, pictures=False, sound=False) for sample in self.calibration_samples]
        return torch.cat([clip.labels[clip.supervised] for clip in clips])

    def fuse_clip(self, clip: TrainingClip) -> tuple[FrameFeatures, FuserOutput]:
        """Run image encoder and fuser on a clip; the features are those of all T frames."""
        network = self.network
        features = self._encode(clip)
        return features, network.fuse((features,), clip.log_mel, network.encode_text(clip.expression), clip.seconds)

    def run_clip(self, clip: TrainingClip, conditioning: Conditioning) -> tuple[FuserOutput, DecoderOutput]:
        """Run the network on a clip; the memory starts from the given frame.

        Returns:
            output of the fuser, and the masks of all T frames, batched.
        """
        network = self.network
        features, fused = self.fuse_clip(clip)
        prompts = fused.prompts
        if prompts.coarse_mask is not None and self.recipe.contrast.matching:
            # The matching loss trains the coarse mask; gradients through the decoder are larger and noisier.
            prompts = dataclasses.replace(prompts, coarse_mask=prompts.coarse_mask.detach())
        if conditioning == "each":
            return fused, network.decode_independently((features,), prompts)
        tracked = track_frames(network, features.split(), prompts, conditioning=conditioning)
        decoded = [frame.decoded for frame in tracked]
        return fused, DecoderOutput(
            logits=torch.cat([one.logits for one in decoded]),
            ious=torch.cat([one.ious for one in decoded]),
            tokens=torch.cat([one.tokens for one in decoded]),
            object_score=torch.cat([one.object_score for one in decoded]),
        )

    def join(self, clips: list[TrainingClip]) -> list[TrainingClip]:
        """Join the clips without an expression."""
        joined = [clip for clip in clips if clip.expression is None]
        if len(joined) < 2:
            return clips
        others = [clip for clip in clips if clip.expression is not None]
        return [join_clips([clip._replace(maps=self._maps(clip)) for clip in joined]), *others]

    def clip_losses(self, clip: TrainingClip) -> dict[str, torch.Tensor]:
        """Compute the losses of one clip; in the first steps of some recipes without the mask decoder."""
        if self.global_step < max(self.recipe.contrast.matching_only_steps, self.recipe.distillation.only_steps):
            losses = self._fusion_losses(clip, self.fuse_clip(clip)[1])
            return {"loss": torch.stack(list(losses.values())).sum(), **losses}
        return super().clip_losses(clip)

    def other_losses(
        self,
        clip: TrainingClip,
        fused: FuserOutput | None,
        decoded: DecoderOutput,
        labels: torch.Tensor,
        supervised: list[int],
    ) -> dict[str, torch.Tensor]:
        """Compute the contrastive, matching and distillation losses with their weights."""
        assert fused is not None
        config, contrast = self.recipe.contrast, labels.new_zeros((), dtype=torch.float32)
        if config.mode != "none":
            if config.frames == "first":
                supervised, labels = supervised[:1], labels[:1]
            visual, audio = (tuple(level[supervised] for level in side) for side in self.network.fuser.project(fused))
            prediction = decoded.logits[supervised, decoded.best[supervised]]
            generator = torch.Generator().manual_seed(self._seed(DRAWING, clip.draw))
            contrast = contrastive_loss(visual, audio, labels, prediction, config, generator)
        return {"contrast": contrast, **self._fusion_losses(clip, fused)}

    def _fusion_losses(self, clip: TrainingClip, fused: FuserOutput) -> dict[str, torch.Tensor]:
        """Compute the losses that need no decoder, with their weights: matching and, where set, distillation."""
        kept, contrast = clip.supervised, self.recipe.contrast
        labels, silent = clip.labels[kept], None if clip.rivals is None else clip.rivals[kept]
        losses = {"matching": labels.new_zeros((), dtype=torch.float32)}
        if contrast.matching:
            visual, audio = (tuple(level[kept] for level in side) for side in self.network.fuser.project(fused))
            matching = matching_loss(visual, audio, labels, contrast.temperature, silent)
            losses["matching"] = contrast.matching * matching
        if self.distillation is not None:
            config, later = self.recipe.distillation, [level.visual[kept] for level in fused.fused[1:]]
            prompt = fused.prompts.visual_prompts[0][kept]
            loss = distillation_loss(self.distillation, prompt, later, labels, silent, config)
            losses["distillation"] = config.weight * loss
        return losses

    def _encode(self, clip: TrainingClip) -> FrameFeatures:
        """Compute the features of all T frames of a clip."""
        network, maps = self.network, self._maps(clip)
        return batch_features(network.sam2, FramePyramid(maps), network.fuser.embed(maps))

    def _maps(self, clip: TrainingClip) -> Maps:
        """Run the image encoder on the frames, or take its output from the clip."""
        if clip.maps is not None:
            fine, middle, coarse = clip.maps
            return fine, middle, coarse
        assert clip.pixels is not None
        pyramid = encode_pyramid(self.network.sam2, normalise(clip.pixels))
        # Contiguous like maps from the cache: another memory layout rounds differently.
        fine, middle, coarse = (level.contiguous() for level in pyramid.maps)
        if self.cache is not None and clip.keys is not None:
            self.cache.put(clip.keys, (fine, middle, coarse))
        return fine, middle, coarse


class BaselineModule(ClipModule):
    """Train the adapters of a baseline, and its tuned parts of SAM 2, frame by frame.

    Args:
        network: with initial weights.
        recipe: settings.
        train, validation: samples.
    """

    network: AdapterNetwork

    def __init__(
        self, network: AdapterNetwork, recipe: TrainingRecipe, train: list[Sample], validation: list[Sample]
    ) -> None:
        super().__init__(network, recipe, train, validation)
        if network.adapters.audio_input.standard is not None:
            calibrate_audio_input(network, torch.cat([load_audio(sample) for sample in self.calibration_samples]))

    def run_clip(self, clip: TrainingClip, conditioning: Conditioning) -> tuple[None, DecoderOutput]:
        """Run the network on a clip, each frame alone."""
        assert clip.pixels is not None
        network = self.network
        text = network.encode_text(clip.expression)
        return None, network.decode(normalise(clip.pixels), clip.log_mel, text, clip.seconds)
