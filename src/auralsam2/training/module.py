"""A training step of AuralSAM2: AuralFuser learns from masks, from contrast, and from matching."""

from __future__ import annotations

import dataclasses

import torch

from auralsam2.config import Conditioning
from auralsam2.data.load import load
from auralsam2.data.samples import Sample
from auralsam2.decoder.prompted import Decoded
from auralsam2.fuser.aural_fuser import FuserOutput
from auralsam2.network import AuralNetwork
from auralsam2.training.build import fit
from auralsam2.training.contrast import contrastive_loss
from auralsam2.training.data import TrainingClip
from auralsam2.training.matching import matching_loss
from auralsam2.training.recipe import Recipe
from auralsam2.training.step import DRAWING, DROPOUT, ClipTraining
from auralsam2.vision.preprocess import normalise, to_square
from auralsam2.vision.pyramid import FrameFeatures, FramePyramid, encode, features


class Training(ClipTraining):
    """Trains the fuser and, unless its rate is 0, the encoder of sound.

    Args:
        network: with its first weights.
        recipe: what to do.
        train, validation: the samples.
    """

    network: AuralNetwork

    def __init__(self, network: AuralNetwork, recipe: Recipe, train: list[Sample], validation: list[Sample]) -> None:
        super().__init__(network, recipe, train, validation)
        if recipe.model.fuser.standardise and recipe.fuser_from is None:
            some = [load(sample, network.image_size) for sample in self.first_samples]
            pictures = torch.stack([to_square(clip.frames[0], network.image_size) for clip in some])
            fit(network, normalise(pictures), torch.cat([clip.log_mel for clip in some]))

    def fuse_clip(self, clip: TrainingClip) -> tuple[tuple[FrameFeatures, ...], FuserOutput]:
        """The network on a clip, as far as the fuser."""
        network = self.network
        frames = self._encode(clip)
        return frames, network.fuse(frames, clip.log_mel, network.read(clip.expression), clip.seconds)

    def run_clip(self, clip: TrainingClip, conditioning: Conditioning) -> tuple[FuserOutput, Decoded]:
        """The network on a clip; the memory starts from the given frame.

        Returns:
            what the fuser gave, and the masks of all T frames, batched.
        """
        network = self.network
        frames, fused = self.fuse_clip(clip)
        prompts = fused.prompts
        if prompts.drawn is not None and self.recipe.contrast.matching:
            # Matching teaches the drawn mask. What comes back through the decoder is far louder and less sure.
            prompts = dataclasses.replace(prompts, drawn=prompts.drawn.detach())
        tracker = network.tracker(len(frames))
        if conditioning == "each":
            return fused, tracker.apart(frames, prompts)
        tracked = tracker.track(frames, prompts, conditioning)
        found = [frame.decoded for frame in sorted(tracked, key=lambda frame: frame.t)]
        return fused, Decoded(
            logits=torch.cat([one.logits for one in found]),
            ious=torch.cat([one.ious for one in found]),
            tokens=torch.cat([one.tokens for one in found]),
            object_score=torch.cat([one.object_score for one in found]),
        )

    def training_step(self, clip: TrainingClip, number: int) -> torch.Tensor:
        """The loss of one clip; in the first steps, where the recipe says so, by matching alone."""
        if self.global_step < self.recipe.contrast.matching_first:
            torch.manual_seed(self._seed(DROPOUT, clip.draw))
            return self._match_alone(clip)
        return super().training_step(clip, number)

    def other_losses(
        self, clip: TrainingClip, fused: FuserOutput | None, decoded: Decoded, labels: torch.Tensor, kept: list[int]
    ) -> dict[str, torch.Tensor]:
        """The losses between what is seen and what is heard: contrast and matching."""
        assert fused is not None, "AuralSAM2 has a fuser"
        config, nothing = self.recipe.contrast, labels.new_zeros((), dtype=torch.float32)
        contrast = nothing
        if config.mode != "none":
            visual, audio = (tuple(level[kept] for level in side) for side in self.network.fuser.project(fused))
            prediction = decoded.logits[kept, decoded.best[kept]]
            generator = torch.Generator().manual_seed(self._seed(DRAWING, clip.draw))
            contrast = contrastive_loss(visual, audio, labels, prediction, config, generator)
        return {"contrast": contrast, "matching": self._match(clip, fused) if config.matching else nothing}

    def _match(self, clip: TrainingClip, fused: FuserOutput) -> torch.Tensor:
        """The matching loss on supervised frames, with its weight."""
        config, kept = self.recipe.contrast, clip.supervised
        visual, audio = (tuple(level[kept] for level in side) for side in self.network.fuser.project(fused))
        rivals = None if clip.rivals is None else clip.rivals[kept]
        return config.matching * matching_loss(visual, audio, clip.labels[kept], config.temperature, rivals)

    def _match_alone(self, clip: TrainingClip) -> torch.Tensor:
        """The loss of a clip while nothing is decoded."""
        _, fused = self.fuse_clip(clip)
        loss = self._match(clip, fused)
        self.log_dict({"train/loss": loss.detach(), "train/matching": loss.detach()}, batch_size=1)
        return loss

    def _encode(self, clip: TrainingClip) -> tuple[FrameFeatures, ...]:
        """`AuralNetwork.encode`, but for what the cache knows."""
        network = self.network
        maps = clip.maps
        if maps is None:
            assert clip.pixels is not None, "pictures are left out only where their maps are known"
            # In the memory layout in which the cache gives them back: another one rounds otherwise.
            maps = tuple(level.contiguous() for level in encode(network.sam2, normalise(clip.pixels)).maps)
            if self.cache is not None and clip.keys is not None:
                self.cache.put(clip.keys, maps)
        fine, middle, coarse = maps
        pyramid = FramePyramid((fine, middle, coarse), network.position)
        return features(network.sam2, pyramid, network.fuser.embed(pyramid.maps))
