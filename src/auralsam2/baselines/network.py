"""A baseline as a network: SAM 2 with adapters inside, each frame by itself, beside SAM 2 as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import nn
from transformers import Sam2VideoModel

from auralsam2.baselines.adapters import Adapters
from auralsam2.baselines.attachment import weight_sharing_copy
from auralsam2.baselines.gavs import Gavs
from auralsam2.baselines.sama import Sama
from auralsam2.config import ModelConfig
from auralsam2.errors import ConfigError
from auralsam2.modeling.image_encoder import FrameFeatures, encode_pyramid, frame_features
from auralsam2.modeling.log_mel import silent_example
from auralsam2.modeling.mask_decoder import DecoderOutput, MaskDecoder
from auralsam2.modeling.network import DEFAULT_EXPRESSION, AudioVisualNetwork, AuralNetwork
from auralsam2.modeling.text_encoder import TextEncoder
from auralsam2.types import FeaturePrompts

METHODS: dict[str, Callable[[ModelConfig, Sam2VideoModel], Adapters]] = {"gavs": Gavs, "sama": Sama}


def assemble_network(config: ModelConfig, sam2: Sam2VideoModel, text: TextEncoder | None = None) -> AudioVisualNetwork:
    """The network of the method that a configuration names, with first weights.

    Raises:
        ConfigError: the parts do not fit each other.
    """
    return (AuralNetwork if config.method == "auralsam2" else AdapterNetwork)(config, sam2, text)


class AdapterNetwork(AudioVisualNetwork):
    """A baseline. What is trained is its adapters, what it tunes of SAM 2, and the encoder of sound if that is asked.

    `sam2` is the shared SAM 2, without adapters; `tuned` is its twin with the adapters in it. The two share all frozen
    numbers, and nothing that is done to the one is seen in the other.

    Args:
        config: fits the parts; `method` chooses.
        sam2: with blocks to which adapters can be attached.
        text_encoder: where the baseline reads text.

    Raises:
        ConfigError: the parts do not fit each other, or the configuration is of no baseline.
    """

    def __init__(self, config: ModelConfig, sam2: Sam2VideoModel, text_encoder: TextEncoder | None = None) -> None:
        super().__init__(config, sam2, text_encoder)
        if config.method not in METHODS:
            raise ConfigError(f"method is {config.method!r}, not one of the baselines {', '.join(METHODS)}")
        self.adapters = METHODS[config.method](config, sam2)
        self._own = self.adapters.own(sam2)
        self.tuned = weight_sharing_copy(sam2, self._own)
        self.adapters.attach(self.tuned)
        self.tuned_decoder = MaskDecoder(self.tuned, config.prompting, config.extensions)

    @property
    def learning(self) -> dict[str, nn.Module]:
        """The adapters and the tuned parts of SAM 2."""
        return {"adapters": self.adapters} | {f"tuned.{name}": self.tuned.get_submodule(name) for name in self._own}

    def train(self, mode: bool = True) -> Self:
        """Training mode for the adapters; SAM 2 stays in evaluation mode, what is tuned of it too."""
        super().train(mode)
        self.tuned.eval()
        self.tuned_decoder.eval()
        return self

    def read(self, expression: str | None) -> torch.Tensor | None:
        """The words of an expression, without pads; where nothing is said, of the default one."""
        return None if self.text_encoder is None else self.text_encoder.words(expression or DEFAULT_EXPRESSION)

    def hear(self, log_mel: torch.Tensor) -> torch.Tensor:
        """(T, 2, 96, 64) to what the adapters hear, (T, E)."""
        return self.adapters.ear(self.audio_encoder(log_mel))

    def encode(
        self, pixels: torch.Tensor, audio: torch.Tensor, text_features: torch.Tensor | None = None
    ) -> tuple[FrameFeatures, ...]:
        """One pass of the image encoder with the adapters in it; gradients pass where they are asked for.

        Args:
            pixels: (T, 3, S, S) float, normalised.
            audio: (T, E), from `hear`.
            text_features: of `read`.
        """
        with self.adapters.told(audio, text_features):
            return frame_features(self.tuned, encode_pyramid(self.tuned, pixels, learns=True), learns=True)

    def decode(
        self,
        pixels: torch.Tensor,
        log_mel: torch.Tensor,
        text_features: torch.Tensor | None = None,
        seconds: Sequence[int] | None = None,
    ) -> DecoderOutput:
        """All frames at once, each by itself and by its own second of sound, for training.

        Args:
            pixels: (T, 3, S, S) float, normalised.
            log_mel: (N, 2, 96, 64), N >= T.
            text_features: of `read`.
            seconds: the examples that belong to the frames, where a clip of N seconds is shown in part.
        """
        audio = self.hear(log_mel[: len(pixels)] if seconds is None else log_mel[list(seconds)])
        frames = self.encode(pixels, audio, text_features)
        return self.decode_independently(frames, self.adapters.prompts(audio))

    @property
    def prompted_sam2(self) -> Sam2VideoModel:
        """SAM 2 with the adapters."""
        return self.tuned

    @property
    def prompted_decoder(self) -> MaskDecoder:
        """Mask decoder of the SAM 2 with the adapters."""
        return self.tuned_decoder

    def encode_clip(
        self, pixels: torch.Tensor, log_mel: torch.Tensor | None, text_features: torch.Tensor | None = None
    ) -> tuple[tuple[FrameFeatures, ...], FeaturePrompts | None]:
        """Encode the frames of a clip with the adapters; see `AudioVisualNetwork.encode_clip`.

        Without audio, the adapters receive silence, and there are no feature prompts.
        """
        count = len(pixels)
        audio = self.hear((silent_example(count).to(pixels) if log_mel is None else log_mel)[:count])
        frames = self.encode(pixels, audio, text_features)
        return frames, None if log_mel is None else self.adapters.prompts(audio)

    def encode_stock(self, pixels: torch.Tensor, frames: tuple[FrameFeatures, ...]) -> tuple[FrameFeatures, ...]:
        """Encode the frames again, without the adapters."""
        return frame_features(self.sam2, encode_pyramid(self.sam2, pixels))
