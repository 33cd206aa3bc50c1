"""A training step of a baseline: adapters inside SAM 2's image encoder learn from masks alone."""

from __future__ import annotations

import torch

from auralsam2.baselines.network import AdapterNetwork
from auralsam2.config import Conditioning
from auralsam2.data.load import hear
from auralsam2.data.samples import Sample
from auralsam2.decoder.prompted import Decoded
from auralsam2.training.build import fit_ear
from auralsam2.training.data import TrainingClip
from auralsam2.training.recipe import Recipe
from auralsam2.training.step import ClipTraining
from auralsam2.vision.preprocess import normalise


class AdaptedTraining(ClipTraining):
    """Trains the adapters, and what a baseline tunes of SAM 2, frame by frame.

    Args:
        network: with its first weights.
        recipe: what to do.
        train, validation: the samples.
    """

    network: AdapterNetwork

    def __init__(self, network: AdapterNetwork, recipe: Recipe, train: list[Sample], validation: list[Sample]) -> None:
        super().__init__(network, recipe, train, validation)
        if network.adapters.ear.standard is not None:
            fit_ear(network, torch.cat([hear(sample) for sample in self.first_samples]))

    def run_clip(self, clip: TrainingClip, conditioning: Conditioning) -> tuple[None, Decoded]:
        """The network on a clip, each frame by itself."""
        assert clip.pixels is not None, "what adapters change cannot be kept in a cache"
        network = self.network
        text = network.read(clip.expression)
        return None, network.decode(normalise(clip.pixels), clip.log_mel, text, clip.seconds)
