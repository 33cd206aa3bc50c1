"""Projection heads of the contrastive loss (Eq. 7): unit vectors in one space for both modalities."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from auralsam2.config import FuserConfig

REFERENCE_ROWS = 10
"""Number of token rows that the released audio + text model projects, regardless of the clip's length."""


class Projection(nn.Module):
    """Projection head of the visual or of the token side.

    * paper: a 3-layer MLP;
    * released, audio: 1×1 convolution, BatchNorm, 1×1 convolution;
    * released, audio + text: linear, GELU, LayerNorm, linear.

    Args:
        config: configuration of the fuser.
        spatial: visual side; only the kernel shapes of the released variant depend on it.
    """

    def __init__(self, config: FuserConfig, *, spatial: bool) -> None:
        super().__init__()
        width, out = config.width, config.projection
        self.convolutional = config.variant == "released" and config.modality == "audio"
        self.spatial = spatial
        if self.convolutional:
            conv, norm = (nn.Conv2d, nn.BatchNorm2d) if spatial else (nn.Conv1d, nn.BatchNorm1d)
            self.proj = nn.Sequential(conv(width, out, 1), norm(out), conv(out, out, 1))
        elif config.variant == "released":
            self.proj = nn.Sequential(nn.Linear(width, out), nn.GELU(), nn.LayerNorm(out), nn.Linear(out, out))
        else:
            self.proj = nn.Sequential(
                nn.Linear(width, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, out)
            )

    def forward(self, tokens: torch.Tensor, normalised_axis: int = -1) -> torch.Tensor:
        """Project tokens (B, n, L) to (B, n, projection) and normalise them by the L2 norm over an axis.

        B are frames of n positions, or N tokens with n = 1. Axis -1 normalises over channels.
        """
        if self.convolutional:
            channels = tokens.transpose(1, 2)
            out = self.proj(channels.unsqueeze(3) if self.spatial else channels).flatten(2).transpose(1, 2)
        else:
            out = self.proj(tokens)
        return F.normalize(out, dim=normalised_axis)
