"""Networks of the baselines: SAM 2 with adapters, one frame at a time, beside the unchanged SAM 2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
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
from auralsam2.modeling.log_mel import silent_examples
from auralsam2.modeling.mask_decoder import DecoderOutput, MaskDecoder
from auralsam2.modeling.network import DEFAULT_EXPRESSION, AudioVisualNetwork, AuralNetwork
from auralsam2.modeling.text_encoder import TextEncoder
from auralsam2.types import FeaturePrompts

METHODS: dict[str, Callable[[ModelConfig, Sam2VideoModel], Adapters]] = {"gavs": Gavs, "sama": Sama}


def assemble_network(config: ModelConfig, sam2: Sam2VideoModel, text: TextEncoder | None = None) -> AudioVisualNetwork:
    """Build the network of the method that a configuration names, with initial weights.

    Raises:
        ConfigError: the parts do not fit each other.
    """
    return (AuralNetwork if config.method == "auralsam2" else AdapterNetwork)(config, sam2, text)


class AdapterNetwork(AudioVisualNetwork):
    """Baseline: the adapters, the tuned modules of SAM 2 and, optionally, the audio encoder are trained.

    `sam2` is the shared SAM 2 without adapters. `tuned` is its copy with the adapters, which shares all frozen weights.

    Args:
        config: configuration of the model; `method` selects the baseline.
        sam2: SAM 2 with blocks to which adapters can be attached.
        text_encoder: for baselines that read text.

    Raises:
        ConfigError: the parts do not fit each other, or the configuration is not of a baseline.
    """

    def __init__(self, config: ModelConfig, sam2: Sam2VideoModel, text_encoder: TextEncoder | None = None) -> None:
        super().__init__(config, sam2, text_encoder)
        if config.method not in METHODS:
            raise ConfigError(f"method is {config.method!r}, not one of the baselines {', '.join(METHODS)}")
        self.adapters = METHODS[config.method](config, sam2)
        self._tuned_names = self.adapters.trainable_modules(sam2)
        self.tuned = weight_sharing_copy(sam2, self._tuned_names)
        self.adapters.attach(self.tuned)
        self.tuned_decoder = MaskDecoder(self.tuned, config.prompting, config.extensions)

    @property
    def trained_modules(self) -> dict[str, nn.Module]:
        """Adapters and tuned modules of SAM 2."""
        return {"adapters": self.adapters} | {
            f"tuned.{name}": self.tuned.get_submodule(name) for name in self._tuned_names
        }

    def check_trained(self, state: dict[str, torch.Tensor], source: Path | str) -> None:
        """Compare tensors with those that `load_trained` needs; see `AudioVisualNetwork.check_trained`."""
        super().check_trained(_renamed(state), source)

    def load_trained(self, state: dict[str, torch.Tensor], source: Path | str) -> None:
        """Load the trained modules, strictly; see `AudioVisualNetwork.load_trained`."""
        super().load_trained(_renamed(state), source)

    def train(self, mode: bool = True) -> Self:
        """Set training mode for the adapters; SAM 2 stays in evaluation mode, its tuned modules too."""
        super().train(mode)
        self.tuned.eval()
        self.tuned_decoder.eval()
        return self

    def encode_text(self, expression: str | None) -> torch.Tensor | None:
        """Encode an expression, without padding; None: `DEFAULT_EXPRESSION`."""
        return (
            None if self.text_encoder is None else self.text_encoder.encode_unpadded(expression or DEFAULT_EXPRESSION)
        )

    def encode_audio(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Compute the adapters' audio input (T, E) from (T, 2, 96, 64)."""
        return self.adapters.audio_input(self.audio_encoder(log_mel))

    def encode(
        self, pixels: torch.Tensor, audio: torch.Tensor, text_features: torch.Tensor | None = None
    ) -> tuple[FrameFeatures, ...]:
        """Run the image encoder with the adapters, with gradients where enabled.

        Args:
            pixels: (T, 3, S, S) float, normalised.
            audio: (T, E), output of `encode_audio`.
            text_features: output of `encode_text`.
        """
        with self.adapters.conditioned_on(audio, text_features):
            return frame_features(
                self.tuned, encode_pyramid(self.tuned, pixels, with_gradients=True), with_gradients=True
            )

    def decode(
        self,
        pixels: torch.Tensor,
        log_mel: torch.Tensor,
        text_features: torch.Tensor | None = None,
        seconds: Sequence[int] | None = None,
    ) -> DecoderOutput:
        """Decode all frames at once and independently, each with its own second of audio, for training.

        Args:
            pixels: (T, 3, S, S) float, normalised.
            log_mel: (N, 2, 96, 64), N >= T.
            text_features: output of `encode_text`.
            seconds: examples of the frames, if only some frames of a clip of N seconds are given.
        """
        audio = self.encode_audio(log_mel[: len(pixels)] if seconds is None else log_mel[list(seconds)])
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
        audio = self.encode_audio((silent_examples(count).to(pixels) if log_mel is None else log_mel)[:count])
        frames = self.encode(pixels, audio, text_features)
        return frames, None if log_mel is None else self.adapters.prompts(audio)

    def encode_stock(self, pixels: torch.Tensor, frames: tuple[FrameFeatures, ...]) -> tuple[FrameFeatures, ...]:
        """Encode the frames again, without the adapters."""
        return frame_features(self.sam2, encode_pyramid(self.sam2, pixels))


def _renamed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the statistics of the audio input in weights of version 0.1, which call it `ear`."""
    return {name.replace("adapters.ear.", "adapters.audio_input.", 1): tensor for name, tensor in state.items()}
