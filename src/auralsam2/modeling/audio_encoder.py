"""VGGish audio encoder: one embedding per channel of 0.96 s of audio."""

from __future__ import annotations

import torch
from torch import nn

from auralsam2.config import AudioEncoderConfig
from auralsam2.modeling.log_mel import BANDS, EXAMPLE_FRAMES

CONVOLUTIONS = (1, 1, 2, 2)
"""Number of 3x3 convolutions of each stage; 2x2 max pooling follows each stage."""


class AudioEncoder(nn.Module):
    """VGGish of any width, applied to the left and the right channel.

    As published: 64, M, 128, M, 256, 256, M, 512, 512, M, 4096, 4096, 128, where M is max pooling. Modules have the
    names of the published weights (`features.0`, `embeddings.4`, …).
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
        """Return the audio tokens z_a.

        Args:
            log_mel: (N, 2, 96, 64), left and right.

        Returns:
            (N, 2 · embedding): [left | right], no value below 0.
        """
        features = log_mel.flatten(0, 1).unsqueeze(1)
        for layer in self.features:
            features = layer(features)
            if layer is self.features[0] and features.device.type == "cpu":
                # Convolutions and max pooling are faster in this memory format.
                features = features.contiguous(memory_format=torch.channels_last)
        # The published weights of the first linear layer expect (time, band, channel) order.
        vectors = self.embeddings(features.permute(0, 2, 3, 1).flatten(1))
        return vectors.unflatten(0, (-1, 2)).flatten(1)
