"""Audio encoder with linear heads for audio tagging."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from auralsam2.config import AudioEncoderConfig
from auralsam2.modeling.audio_encoder import AudioEncoder
from projects.mini.audio_data import TaggingBatch

_TAG_BIAS = -4.0
"""Initial logit of every tag: few of many categories are audible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggerOutput:
    """Predictions of the heads for N examples and K categories.

    Attributes:
        tags: (N, K), logits of "the category is audible".
        positions: (N, K) in [0, 1], horizontal positions.
        presence: (N,), logits of "any category is audible".
    """

    tags: torch.Tensor
    positions: torch.Tensor
    presence: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggingTerms:
    """Terms of the loss, means over a batch, scalars.

    Attributes:
        tags: binary cross-entropy, summed over the categories.
        position: squared error over the audible categories.
        presence: binary cross-entropy.
    """

    tags: torch.Tensor
    position: torch.Tensor
    presence: torch.Tensor


class AudioTagger(nn.Module):
    """Audio encoder and heads with initial weights.

    Args:
        config: shape of the encoder.
        categories: K.
        seed: seed of the weights.
    """

    def __init__(self, config: AudioEncoderConfig, categories: int, seed: int) -> None:
        super().__init__()
        width = 2 * config.embedding
        self.audio_encoder = AudioEncoder(config)
        # Linear heads keep category and position linearly readable from the token for the fuser.
        self.tags, self.positions = nn.Linear(width, categories), nn.Linear(width, categories)
        self.presence = nn.Linear(width, 1)
        generator = torch.Generator().manual_seed(seed)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                # PyTorch's default initialisation maps all sounds to nearly the same token.
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                nn.init.zeros_(module.bias)  # pyright: ignore[reportArgumentType]
        for head in (self.tags, self.positions, self.presence):
            nn.init.normal_(head.weight, std=0.02, generator=generator)
        nn.init.constant_(self.tags.bias, _TAG_BIAS)

    def forward(self, log_mel: torch.Tensor) -> TaggerOutput:
        """Predict from (N, 2, 96, 64)."""
        token = self.audio_encoder(log_mel)
        return TaggerOutput(
            tags=self.tags(token), positions=self.positions(token).sigmoid(), presence=self.presence(token).squeeze(1)
        )


def tagging_loss(output: TaggerOutput, batch: TaggingBatch) -> TaggingTerms:
    """Compute the terms of the loss."""
    tags = batch.tags.float()
    errors = F.mse_loss(output.positions, batch.positions, reduction="none") * tags
    return TaggingTerms(
        tags=F.binary_cross_entropy_with_logits(output.tags, tags, reduction="sum") / len(tags),
        position=errors.sum() / tags.sum().clamp_min(1.0),
        presence=F.binary_cross_entropy_with_logits(output.presence, batch.tags.any(1).float()),
    )
