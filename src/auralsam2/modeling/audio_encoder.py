"""Audio encoder: VGGish, or a backbone of timm in its place. One embedding per channel of 0.96 s of audio."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import nn

from auralsam2.config import AudioEncoderConfig
from auralsam2.errors import ConfigError
from auralsam2.modeling.log_mel import BANDS, EXAMPLE_FRAMES

CONVOLUTIONS = (1, 1, 2, 2)
"""Number of 3x3 convolutions of each stage; 2x2 max pooling follows each stage."""
MAPS = (2, 3, 4)
"""Maps of a backbone of timm, at strides 8, 16 and 32."""
_DROPOUT = 0.3


class AudioEncoder(nn.Module):
    """VGGish of any width, applied to the left and the right channel.

    As published: 64, M, 128, M, 256, 256, M, 512, 512, M, 4096, 4096, 128, where M is max pooling. Modules have the
    names of the published weights (`features.0`, `embeddings.4`, …). With `config.backbone`, `SpectrogramMaps` takes
    the place of the convolutions, and one linear layer that of the three.

    Raises:
        ConfigError: timm has no such backbone, or not at these strides.
    """

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        if config.backbone is None:
            self.features, flat = _vggish_features(config.channels)
            widths = (flat, config.hidden, config.hidden, config.embedding)
        else:
            self.features = SpectrogramMaps(config.backbone)
            widths = (self.features.width, config.embedding)
        layers = ((nn.Linear(*pair), nn.ReLU(inplace=True)) for pair in pairwise(widths))
        self.embeddings = nn.Sequential(*(layer for pair in layers for layer in pair))

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return the audio tokens z_a.

        Args:
            log_mel: (N, 2, 96, 64), left and right.

        Returns:
            (N, 2 · embedding): [left | right], no value below 0.
        """
        features = log_mel.flatten(0, 1).unsqueeze(1)
        if isinstance(self.features, SpectrogramMaps):
            vectors = self.features(features)
        else:
            for layer in self.features:
                features = layer(features)
                if layer is self.features[0] and features.device.type == "cpu":
                    # Convolutions and max pooling are faster in this memory format.
                    features = features.contiguous(memory_format=torch.channels_last)
            # The published weights of the first linear layer expect (time, band, channel) order.
            vectors = features.permute(0, 2, 3, 1).flatten(1)
        return self.embeddings(vectors).unflatten(0, (-1, 2)).flatten(1)


def _vggish_features(widths: tuple[int, ...]) -> tuple[nn.Sequential, int]:
    """Build the convolutions; returns them and the size of their output for one example."""
    layers: list[nn.Module] = []
    width = 1
    for channels, depth in zip(widths, CONVOLUTIONS, strict=True):
        for _ in range(depth):
            layers += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU(inplace=True)]
            width = channels
        layers.append(nn.MaxPool2d(2))
    shrink = 2 ** len(CONVOLUTIONS)
    return nn.Sequential(*layers), width * (EXAMPLE_FRAMES // shrink) * (BANDS // shrink)


class SpectrogramMaps(nn.Module):
    """Vectors of the maps of a convolutional backbone of timm, with a log-mel spectrogram as a grey image.

    Of each map, the means over time for each row of frequencies, and the maxima over time and frequency.

    In training, batch normalisation keeps its statistics and there is no dropout, unless `from_images` is set: a
    backbone that was trained on images adapts its statistics to spectrograms.

    Args:
        name: architecture of timm, with maps at strides 8, 16 and 32.
    """

    def __init__(self, name: str) -> None:
        from transformers import TimmWrapperConfig, TimmWrapperModel  # imports timm, which other encoders do not need

        super().__init__()
        self.from_images = False
        self.norm = nn.BatchNorm2d(1)
        arguments = {"in_chans": 1, "features_only": True, "out_indices": list(MAPS)}
        try:
            wrapper = TimmWrapperModel(TimmWrapperConfig(architecture=name, model_args=arguments))
        except (ImportError, RuntimeError, AssertionError, TypeError) as error:
            raise ConfigError(f"audio_encoder.backbone {name}: not a convolutional backbone of timm") from error
        self.backbone = cast(nn.Module, wrapper.timm_model)
        info = cast(Any, self.backbone).feature_info
        strides, channels = info.reduction(), info.channels()
        if list(strides) != [8, 16, 32]:
            raise ConfigError(f"audio_encoder.backbone {name}: maps at strides {strides}, not 8, 16 and 32")
        self.width = sum(count * (BANDS // stride + 1) for count, stride in zip(channels, strides, strict=True))
        """Size of the output for one example."""

    def train(self, mode: bool = True) -> Self:
        """Set training mode; batch normalisation stays in evaluation mode unless `from_images` is set."""
        super().train(mode)
        if not self.from_images:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Return vectors (N, width) for (N, 1, 96, 64)."""
        image = self.norm(log_mel).transpose(2, 3)
        if image.device.type == "cpu":
            image = image.contiguous(memory_format=torch.channels_last)
        maps = self.backbone(image)
        vectors = torch.cat([torch.cat([level.mean(3).flatten(1), level.amax((2, 3))], 1) for level in maps], 1)
        return F.dropout(vectors, _DROPOUT, self.training and self.from_images)

    def load_image_backbone(self, state: dict[str, torch.Tensor]) -> None:
        """Load the weights of the same architecture for colour images; the first convolution adds the colours.

        Raises:
            RuntimeError: the tensors do not fit.
        """
        first = next(name for name, weight in self.backbone.named_parameters() if weight.dim() == 4)
        own = self.backbone.state_dict()
        state = {name: value for name, value in state.items() if name in own}
        self.backbone.load_state_dict(state | {first: state[first].float().sum(1, keepdim=True)})
        self.from_images = True
