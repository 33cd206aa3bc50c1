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
    """Logits of the tags (N, K), positions (N, K) in [0, 1], and logits of the presence of any category, (N,)."""

    tags: torch.Tensor
    positions: torch.Tensor
    presence: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggingTerms:
    """Terms of the loss, means over a batch, scalars.

    Binary cross-entropy of the tags, summed over categories; squared error of the positions of audible categories;
    binary cross-entropy of presence.
    """

    tags: torch.Tensor
    position: torch.Tensor
    presence: torch.Tensor


class AudioTagger(nn.Module):
    """Audio encoder and linear heads for K categories, with initial weights by `seed`."""

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
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for head in (self.tags, self.positions, self.presence):
            nn.init.normal_(head.weight, std=0.02, generator=generator)
        nn.init.constant_(self.tags.bias, _TAG_BIAS)

    def forward(self, log_mel: torch.Tensor) -> TaggerOutput:
        """Predict from (N, 2, 96, 64)."""
        return self.predict(self.audio_encoder(log_mel))

    def predict(self, token: torch.Tensor) -> TaggerOutput:
        """Predict from tokens (N, 2 · embedding)."""
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
