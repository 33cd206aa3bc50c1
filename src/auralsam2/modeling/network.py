"""The network: wires the parts that hold weights. It knows tensors, not files of media, and no time beyond a clip."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import nn
from transformers import Sam2VideoModel

from auralsam2.config import ModelConfig
from auralsam2.errors import ConfigError
from auralsam2.modeling.audio_encoder import AudioEncoder
from auralsam2.modeling.aural_fuser import AuralFuser, FuserOutput
from auralsam2.modeling.image_encoder import FrameFeatures, encode_pyramid, frame_features, sine_position
from auralsam2.modeling.mask_decoder import DecoderOutput, MaskDecoder
from auralsam2.modeling.memory import MemoryNetwork
from auralsam2.modeling.prompt_encoder import embed_prompts
from auralsam2.modeling.sam2 import freeze, side
from auralsam2.modeling.text_encoder import TextEncoder
from auralsam2.types import FeaturePrompts
from auralsam2.utils.weights import describe_mismatch

DEFAULT_EXPRESSION = "the object making a sound"
"""What a model that reads text is told where the user says nothing."""


class AudioVisualNetwork(nn.Module):
    """What AuralSAM2 and its baselines have in common: a frozen SAM 2, a frozen text encoder, an encoder of sound.

    Args:
        config: fits the parts.
        sam2: any SAM 2 of transformers, whatever its backbone and width.
        text_encoder: where the network reads text.

    Raises:
        ConfigError: SAM 2 has another width than the configuration says.
    """

    position: torch.Tensor

    def __init__(self, config: ModelConfig, sam2: Sam2VideoModel, text_encoder: TextEncoder | None = None) -> None:
        super().__init__()
        if sam2.hidden_dim != config.fuser.width:
            raise ConfigError(f"fuser.width {config.fuser.width} differs from SAM 2's {sam2.hidden_dim} channels")
        self.config = config
        self.sam2 = freeze(sam2)
        self.text_encoder = text_encoder
        self.audio_encoder = AudioEncoder(config.audio_encoder)
        self.decoder = MaskDecoder(sam2, config.prompting, config.extensions)
        self.memory = MemoryNetwork(sam2)
        grid = side(sam2) // 16
        weight = sam2.no_memory_embedding
        self.register_buffer("position", sine_position(config.fuser.width, (grid, grid), weight), persistent=False)

    @property
    def image_size(self) -> int:
        """S, the side of the square that the model sees, in pixels."""
        return side(self.sam2)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.position.device

    @property
    @abstractmethod
    def learning(self) -> dict[str, nn.Module]:
        """What is trained beside the encoder of sound, by its name in the state."""

    def train(self, mode: bool = True) -> Self:
        """Training mode for what is trained; the frozen parts stay in evaluation mode."""
        super().train(mode)
        self.sam2.eval()
        self.memory.eval()
        self.decoder.eval()
        if self.text_encoder is not None:
            self.text_encoder.eval()
        return self

    @abstractmethod
    def read(self, expression: str | None) -> torch.Tensor | None:
        """Features of what to look for, (n, width), or None where nothing is read.

        Args:
            expression: None where nothing is said.
        """

    @property
    def prompted_sam2(self) -> Sam2VideoModel:
        """SAM 2 as the feature prompts use it: with the adapters of a baseline, else the frozen one."""
        return self.sam2

    @property
    def prompted_decoder(self) -> MaskDecoder:
        """Mask decoder of `prompted_sam2`."""
        return self.decoder

    @abstractmethod
    def encode_clip(
        self, pixels: torch.Tensor, log_mel: torch.Tensor | None, text_features: torch.Tensor | None = None
    ) -> tuple[tuple[FrameFeatures, ...], FeaturePrompts | None]:
        """Encode the frames of a clip and make their feature prompts.

        Args:
            pixels: (T, 3, S, S) float, normalised.
            log_mel: (N, 2, 96, 64), N >= T; None without audio and text.
            text_features: output of `read`.

        Returns:
            the T frames, and the prompts of these; None where `log_mel` is None.
        """

    @abstractmethod
    def encode_stock(self, pixels: torch.Tensor, frames: tuple[FrameFeatures, ...]) -> tuple[FrameFeatures, ...]:
        """Return the frames as the frozen SAM 2 alone encodes them.

        Args:
            pixels: (T, 3, S, S) float, normalised.
            frames: output of `encode_clip` for the same pixels, used again where it is the same.
        """

    def decode_independently(self, frames: Sequence[FrameFeatures], prompts: FeaturePrompts) -> DecoderOutput:
        """Decode all frames in one call, each without memory and visual prompts.

        Equals tracking with conditioning `each`, before masks of absent objects are emptied.

        Args:
            frames: T frames.
            prompts: feature prompts of these.
        """
        return self.prompted_decoder(
            self.memory.begin(torch.cat([frame.embedding for frame in frames])),
            torch.cat([frame.fine for frame in frames]),
            torch.cat([frame.middle for frame in frames]),
            embed_prompts(self.prompted_sam2, None),
            prompts,
        )

    def trained_state(self) -> dict[str, torch.Tensor]:
        """The tensors of the trained parts alone, contiguous, under the names of `model.safetensors`."""
        prefixes = tuple(f"{name}." for name in (*self.learning, "audio_encoder"))
        return {name: value.contiguous() for name, value in self.state_dict().items() if name.startswith(prefixes)}

    def load_trained(self, state: dict[str, torch.Tensor], source: Path | str) -> None:
        """Load the trained parts, strictly.

        Args:
            state: names and shapes of `trained_state`.
            source: where the tensors come from, for the message.

        Raises:
            ConfigError: names missing or unexpected, or shapes that differ.
        """
        self.check_trained(state, source)
        self.load_state_dict(state, strict=False)

    def check_trained(self, state: dict[str, torch.Tensor], source: Path | str) -> None:
        """Compare tensors with those that `load_trained` needs.

        Args:
            state: by name.
            source: where the tensors come from, for the message.

        Raises:
            ConfigError: names missing or unexpected, shapes that differ, or whole numbers instead of floats.
        """
        needed = self.trained_state()
        found, expected = ({name: tuple(tensor.shape) for name, tensor in table.items()} for table in (state, needed))
        if complaint := describe_mismatch([("", found, expected)]):
            raise ConfigError(f"{source}: the weights do not fit the configuration: {complaint}")
        for name, tensor in state.items():
            if tensor.is_floating_point() != needed[name].is_floating_point():
                raise ConfigError(f"{source}: {name} is {tensor.dtype}, not {needed[name].dtype}; copy the model again")


class AuralNetwork(AudioVisualNetwork):
    """AuralSAM2: what is trained is AuralFuser and the encoder of sound.

    Args:
        config: fits the parts.
        sam2: any SAM 2 of transformers, whatever its backbone and width.
        text_encoder: where the fuser reads text.

    Raises:
        ConfigError: SAM 2 has another width than the fuser, or the configuration is of a baseline.
    """

    def __init__(self, config: ModelConfig, sam2: Sam2VideoModel, text_encoder: TextEncoder | None = None) -> None:
        super().__init__(config, sam2, text_encoder)
        if config.method != "auralsam2":
            raise ConfigError(f"method is {config.method!r}: a baseline, not AuralSAM2")
        self.fuser = AuralFuser(config.fuser, config.extensions)

    @property
    def learning(self) -> dict[str, nn.Module]:
        """The fuser."""
        return {"fuser": self.fuser}

    def encode(self, pixels: torch.Tensor, *, listen: bool = True) -> tuple[FrameFeatures, ...]:
        """The one pass of the image encoder.

        Args:
            pixels: (T, 3, S, S) float, normalised.
            listen: make the fuser's patch maps too.
        """
        pyramid = encode_pyramid(self.sam2, pixels)
        return frame_features(self.sam2, pyramid, self.fuser.embed(pyramid.maps) if listen else ())

    def read(self, expression: str | None) -> torch.Tensor | None:
        """Features of what to look for.

        Where nothing is said, a model that reads is told to look for what makes a sound; with the fuser's scope `frame`
        it reads nothing then, and only hears.

        Args:
            expression: None where nothing is said.

        Returns:
            (n, width), or None where nothing is read.
        """
        silent = expression is None and self.fuser.framewise
        if self.text_encoder is None or silent:
            return None
        return self.text_encoder(expression or DEFAULT_EXPRESSION)

    def fuse(
        self,
        frames: tuple[FrameFeatures, ...],
        log_mel: torch.Tensor,
        text_features: torch.Tensor | None = None,
        seconds: Sequence[int] | None = None,
    ) -> FuserOutput:
        """Feature prompts of one clip.

        Args:
            frames: T frames one second apart, encoded with `listen`.
            log_mel: (N, 2, 96, 64), N >= T; example t is the sound of frame t.
            text_features: of `read`.
            seconds: with the fuser's scope `frame`, the examples that belong to the frames, where a clip of N seconds
                is shown in part.
        """
        if not self.fuser.framewise:
            tokens = self.fuser.join(self.audio_encoder(log_mel), text_features)
        else:
            own = list(range(len(frames)) if seconds is None else seconds)
            if text_features is None or seconds is None:  # nothing asks for the others
                log_mel, own = log_mel[own], list(range(len(own)))
            around = self.audio_encoder(log_mel)
            tokens = self.fuser.join(around[own], text_features, around)
        patches = tuple(torch.cat(level) for level in zip(*(frame.patches for frame in frames), strict=True))
        return self.fuser.fuse(patches, tokens, self.position)

    def prompts(
        self, frames: tuple[FrameFeatures, ...], log_mel: torch.Tensor, text_features: torch.Tensor | None = None
    ) -> FeaturePrompts:
        """Compute the feature prompts of one clip for the decoder: the output of `fuse`, capped.

        With text and an `extensions.object_score_offset`, one more decoder pass scores whether the clip contains the
        object.

        Args:
            frames: T frames one second apart, encoded with `listen`.
            log_mel: (N, 2, 96, 64), N >= T; example t is the sound of frame t.
            text_features: of `read`.
        """
        return self.capped(frames, self.fuse(frames, log_mel, text_features).prompts, text_features)

    def encode_clip(
        self, pixels: torch.Tensor, log_mel: torch.Tensor | None, text_features: torch.Tensor | None = None
    ) -> tuple[tuple[FrameFeatures, ...], FeaturePrompts | None]:
        """Encode the frames of a clip and make their feature prompts; see `AudioVisualNetwork.encode_clip`."""
        frames = self.encode(pixels, listen=log_mel is not None)
        return frames, None if log_mel is None else self.prompts(frames, log_mel, text_features)

    def encode_stock(self, pixels: torch.Tensor, frames: tuple[FrameFeatures, ...]) -> tuple[FrameFeatures, ...]:
        """Return the same frames: SAM 2 is frozen, and encodes them once for all prompts."""
        return frames

    def capped(
        self, frames: tuple[FrameFeatures, ...], prompts: FeaturePrompts, text_features: torch.Tensor | None
    ) -> FeaturePrompts:
        """Cap the object scores of a clip by its mean score, with text and an `extensions.object_score_offset`.

        Args:
            frames: T frames one second apart.
            prompts: feature prompts of these.
            text_features: output of `read`; without it nothing changes.
        """
        if text_features is None or not self.config.extensions.object_score_offset:
            return prompts
        score = self.decode_independently(frames, prompts).object_score
        return dataclasses.replace(prompts, bound=score.mean().expand(len(frames)))
