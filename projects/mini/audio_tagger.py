"""The encoder of sound with what it needs to learn: three linear readings of its token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from auralsam2.config import AudioEncoderConfig
from auralsam2.modeling.audio_encoder import AudioEncoder
from projects.mini.audio_data import TaggingBatch

_RARE = -4.0
"""First logit of every tag: of many categories, few sound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggerOutput:
    """What is read from N tokens.

    Attributes:
        tags: (N, K) logits, whether each category sounds.
        places: (N, K) in 0..1, where each would come from.
        presence: (N,) logits, whether anything sounds.
    """

    tags: torch.Tensor
    places: torch.Tensor
    presence: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggingTerms:
    """Means over a batch, scalars.

    Attributes:
        tags: binary cross-entropy, summed over the categories.
        place: squared error, over all that sounds.
        presence: binary cross-entropy.
    """

    tags: torch.Tensor
    place: torch.Tensor
    presence: torch.Tensor


class AudioTagger(nn.Module):
    """The encoder and its readings, with fresh weights.

    Args:
        config: shape of the encoder.
        kinds: K.
        seed: of the weights.
    """

    def __init__(self, config: AudioEncoderConfig, kinds: int, seed: int) -> None:
        super().__init__()
        token = 2 * config.embedding
        self.audio_encoder = AudioEncoder(config)
        # Linear, so that whatever reads the token later finds what sounds and where as easily.
        self.tags, self.places = nn.Linear(token, kinds), nn.Linear(token, kinds)
        self.presence = nn.Linear(token, 1)
        generator = torch.Generator().manual_seed(seed)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                # PyTorch's own start values make nearly one token of all sounds.
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                nn.init.zeros_(module.bias)  # pyright: ignore[reportArgumentType]
        for head in (self.tags, self.places, self.presence):
            nn.init.normal_(head.weight, std=0.02, generator=generator)
        nn.init.constant_(self.tags.bias, _RARE)

    def forward(self, log_mel: torch.Tensor) -> TaggerOutput:
        """Hear (N, 2, 96, 64)."""
        token = self.audio_encoder(log_mel)
        return TaggerOutput(
            tags=self.tags(token), places=self.places(token).sigmoid(), presence=self.presence(token).squeeze(1)
        )


def tagging_loss(heard: TaggerOutput, batch: TaggingBatch) -> TaggingTerms:
    """The terms of the loss."""
    sounding = batch.tags.float()
    off = F.mse_loss(heard.places, batch.places, reduction="none") * sounding
    return TaggingTerms(
        tags=F.binary_cross_entropy_with_logits(heard.tags, sounding, reduction="sum") / len(sounding),
        place=off.sum() / sounding.sum().clamp_min(1.0),
        presence=F.binary_cross_entropy_with_logits(heard.presence, batch.tags.any(1).float()),
    )
