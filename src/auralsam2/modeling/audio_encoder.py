"""VGGish: one vector for each channel of each second of sound."""

from __future__ import annotations

import torch
from torch import nn

from auralsam2.config import AudioEncoderConfig
from auralsam2.modeling.log_mel import BANDS, EXAMPLE_FRAMES

CONVOLUTIONS = (1, 1, 2, 2)
"""How many 3 by 3 convolutions each stage has; a 2 by 2 maximum follows each stage."""


class AudioEncoder(nn.Module):
    """VGGish, of any width, on left and right alike.

    As published: 64, M, 128, M, 256, 256, M, 512, 512, M, 4096, 4096, 128, M being a maximum.

    The modules are named as in the published weights (`features.0`, `embeddings.4`, …).
    """

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 1
        for channels, depth in zip(config.channels, CONVOLUTIONS, strict=True):
            for _ in range(depth):
                layers += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU(inplace=True)]
                width = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        shrink = 2 ** len(CONVOLUTIONS)
        flat = width * (EXAMPLE_FRAMES // shrink) * (BANDS // shrink)
        self.embeddings = nn.Sequential(
            nn.Linear(flat, config.hidden),
            nn.ReLU(inplace=True),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(inplace=True),
            nn.Linear(config.hidden, config.embedding),
            nn.ReLU(inplace=True),
        )

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Audio tokens z_a.

        Args:
            log_mel: (N, 2, 96, 64), left and right.

        Returns:
            (N, 2 · embedding): [left | right], each >= 0.
        """
        features = self.features(log_mel.flatten(0, 1).unsqueeze(1))
        # The published weights of the first linear layer expect (time, band, channel) order.
        vectors = self.embeddings(features.permute(0, 2, 3, 1).flatten(1))
        return vectors.unflatten(0, (-1, 2)).flatten(1)
