"""Networks of weights and tensors, without media files and without time beyond a clip."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import torch
from torch import nn
from transformers import Sam2VideoModel

from auralsam2.config import ModelConfig
from auralsam2.errors import ConfigError
from auralsam2.modeling.audio_encoder import AudioEncoder
from auralsam2.modeling.aural_fuser import AuralFuser, FuserOutput
from auralsam2.modeling.image_encoder import FrameFeatures, FramePyramid, encode_pyramid, frame_features, sine_position
from auralsam2.modeling.mask_decoder import DecoderOutput, MaskDecoder
from auralsam2.modeling.memory import MemoryNetwork
from auralsam2.modeling.prompt_encoder import embed_prompts
from auralsam2.modeling.sam2 import freeze, input_side
from auralsam2.modeling.text_encoder import TextEncoder
from auralsam2.types import FeaturePrompts
from auralsam2.utils.weights import describe_mismatch

DEFAULT_EXPRESSION = "the object making a sound"
"""Text for models that read text, if the user gives none."""


class AudioVisualNetwork(nn.Module):
    """Base class of AuralSAM2 and its baselines: a frozen SAM 2, a frozen text encoder, and an audio encoder.

    Args:
        config: configuration of the model.
        sam2: SAM 2 of transformers with any backbone and width.
        text_encoder: for networks that read text.

    Raises:
        ConfigError: the width of SAM 2 differs from the configuration.
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
        grid = input_side(sam2) // 16
        weight = sam2.no_memory_embedding
        self.register_buffer("position", sine_position(config.fuser.width, (grid, grid), weight), persistent=False)

    @property
    def image_size(self) -> int:
        """S, the side of the model's square input in pixels."""
        return input_side(self.sam2)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.position.device

    @property
    @abstractmethod
    def trained_modules(self) -> dict[str, nn.Module]:
        """Trained modules beside the audio encoder, by their names in the state dict."""

    def train(self, mode: bool = True) -> Self:
        """Set training mode for the trained modules; the frozen ones stay in evaluation mode."""
        super().train(mode)
        self.sam2.eval()
        self.memory.eval()
        self.decoder.eval()
        if self.text_encoder is not None:
            self.text_encoder.eval()
        return self

    @abstractmethod
    def encode_text(self, expression: str | None) -> torch.Tensor | None:
        """Encode the text that describes the object: features (n, width), or None if the network encodes no text."""

    @property
    def prompted_sam2(self) -> Sam2VideoModel:
        """SAM 2 for feature prompts: with the adapters of a baseline, else the frozen one."""
        return self.sam2

    @property
    def prompted_decoder(self) -> MaskDecoder:
        """Mask decoder of `prompted_sam2`."""
        return self.decoder

    @abstractmethod
    def encode_clip(
        self, pixels: torch.Tensor, log_mel: torch.Tensor | None, text_features: torch.Tensor | None = None
    ) -> tuple[tuple[FrameFeatures, ...], FeaturePrompts | None]:
        """Encode the frames of a clip and compute their feature prompts.

        Args:
            pixels: (T, 3, S, S) float, normalised.
            log_mel: (N, 2, 96, 64), N >= T; None without audio and text.
            text_features: output of `encode_text`.

        Returns:
            features of the T frames, and their feature prompts; None if `log_mel` is None.
        """

    @abstractmethod
    def encode_stock(self, pixels: torch.Tensor, frames: tuple[FrameFeatures, ...]) -> tuple[FrameFeatures, ...]:
        """Encode the frames with the frozen SAM 2 alone.

        `frames` of `encode_clip` are returned if they are the same.
        """

    def decode_independently(self, frames: Sequence[FrameFeatures], prompts: FeaturePrompts) -> DecoderOutput:
        """Decode T frames with their feature prompts in one call, each without memory and visual prompts.

        Each entry of `frames` holds one of them or several.
        Equals tracking with conditioning `each`, before masks of absent objects are emptied.
        """
        return self.prompted_decoder(
            self.memory.without_memory(torch.cat([frame.embedding for frame in frames])),
            torch.cat([frame.fine for frame in frames]),
            torch.cat([frame.middle for frame in frames]),
            embed_prompts(self.prompted_sam2, None),
            prompts,
        )

    def trained_state(self) -> dict[str, torch.Tensor]:
        """Return the tensors of the trained modules, contiguous, under their names in `model.safetensors`."""
        prefixes = tuple(f"{name}." for name in (*self.trained_modules, "audio_encoder"))
        return {name: value.contiguous() for name, value in self.state_dict().items() if name.startswith(prefixes)}

    def load_trained(self, state: dict[str, torch.Tensor], source: Path | str) -> None:
        """Load the trained modules, strictly; arguments and errors as in `check_trained`."""
        self.check_trained(state, source)
        self.load_state_dict(state, strict=False)

    def check_trained(self, state: dict[str, torch.Tensor], source: Path | str) -> None:
        """Compare tensors by name with those that `load_trained` needs; `source` is their origin, for the message.

        Raises:
            ConfigError: missing or unexpected names, different shapes, or integers instead of floats.
        """
        needed = self.trained_state()
        actual, expected = ({name: tuple(tensor.shape) for name, tensor in table.items()} for table in (state, needed))
        if mismatch := describe_mismatch([("", actual, expected)]):
            raise ConfigError(f"{source}: the weights do not fit the configuration: {mismatch}")
        for name, tensor in state.items():
            if tensor.is_floating_point() != needed[name].is_floating_point():
                raise ConfigError(f"{source}: {name} is {tensor.dtype}, not {needed[name].dtype}; copy the model again")


class AuralNetwork(AudioVisualNetwork):
    """AuralSAM2: AuralFuser and the audio encoder are trained; arguments as in `AudioVisualNetwork`.

    Attributes:
        accelerated_encoder: maps normalised images (T, 3, S, S) to the pyramid in place of SAM 2's image encoder, at
            inference; None for SAM 2's.

    Raises:
        ConfigError: the width of SAM 2 differs from the fuser's, or the configuration is of a baseline.
    """

    def __init__(self, config: ModelConfig, sam2: Sam2VideoModel, text_encoder: TextEncoder | None = None) -> None:
        super().__init__(config, sam2, text_encoder)
        if config.method != "auralsam2":
            raise ConfigError(f"method is {config.method!r}: a baseline, not AuralSAM2")
        self.fuser = AuralFuser(config.fuser, config.extensions)
        self.accelerated_encoder: Callable[[torch.Tensor], FramePyramid] | None = None

    @property
    def trained_modules(self) -> dict[str, nn.Module]:
        """The fuser."""
        return {"fuser": self.fuser}

    def encode(self, pixels: torch.Tensor, *, with_patches: bool = True) -> tuple[FrameFeatures, ...]:
        """Run the image encoder once on (T, 3, S, S), and compute the fuser's patch maps too, with `with_patches`."""
        encoder = self.accelerated_encoder
        pyramid = encode_pyramid(self.sam2, pixels) if encoder is None else encoder(pixels)
        return frame_features(self.sam2, pyramid, self.fuser.embed(pyramid.maps) if with_patches else ())

    def encode_text(self, expression: str | None) -> torch.Tensor | None:
        """Encode the text; see `AudioVisualNetwork.encode_text`.

        Without text, a model that reads text takes `DEFAULT_EXPRESSION`; with attention scope `frame` it takes audio
        alone.
        """
        audio_only = expression is None and self.fuser.framewise
        if self.text_encoder is None or audio_only:
            return None
        return self.text_encoder(expression or DEFAULT_EXPRESSION)

    def fuse(
        self,
        frames: tuple[FrameFeatures, ...],
        log_mel: torch.Tensor,
        text_features: torch.Tensor | None = None,
        seconds: Sequence[int] | None = None,
    ) -> FuserOutput:
        """Compute the fusion of one clip.

        Args:
            frames: T frames one second apart, with patch maps; each entry holds one of them or several.
            log_mel: (N, 2, 96, 64), N >= T; example t is the audio of frame t.
            text_features: output of `encode_text`.
            seconds: with attention scope `frame`, the examples of the frames, if only some frames of a clip of N
                seconds are given.
        """
        patches = tuple(torch.cat(level) for level in zip(*(frame.patches for frame in frames), strict=True))
        if not self.fuser.framewise:
            tokens = self.fuser.concat_tokens(self.audio_encoder(log_mel), text_features)
        else:
            rows = list(range(len(patches[0])) if seconds is None else seconds)
            if text_features is None or seconds is None:  # nothing asks for the others
                log_mel, rows = log_mel[rows], list(range(len(rows)))
            clip_tokens = self.audio_encoder(log_mel)
            tokens = self.fuser.concat_tokens(clip_tokens[rows], text_features, clip_tokens)
        return self.fuser.fuse(patches, tokens, self.position)

    def prompts(
        self, frames: tuple[FrameFeatures, ...], log_mel: torch.Tensor, text_features: torch.Tensor | None = None
    ) -> FeaturePrompts:
        """Compute the feature prompts of one clip for the decoder: those of `fuse`, with capped object scores.

        With text and an `extensions.object_score_offset`, one more decoder pass scores whether the clip contains the
        object. The arguments are those of `fuse`.
        """
        return self.cap_object_scores(frames, self.fuse(frames, log_mel, text_features).prompts, text_features)

    def encode_clip(
        self, pixels: torch.Tensor, log_mel: torch.Tensor | None, text_features: torch.Tensor | None = None
    ) -> tuple[tuple[FrameFeatures, ...], FeaturePrompts | None]:
        """Encode the frames of a clip and compute their feature prompts; see `AudioVisualNetwork.encode_clip`."""
        frames = self.encode(pixels, with_patches=log_mel is not None)
        return frames, None if log_mel is None else self.prompts(frames, log_mel, text_features)

    def encode_stock(self, pixels: torch.Tensor, frames: tuple[FrameFeatures, ...]) -> tuple[FrameFeatures, ...]:
        """Return the same frames: the frozen SAM 2 encodes them once for all prompts."""
        return frames

    def cap_object_scores(
        self, frames: tuple[FrameFeatures, ...], prompts: FeaturePrompts, text_features: torch.Tensor | None
    ) -> FeaturePrompts:
        """Cap the object scores of a clip, with text and an `extensions.object_score_offset`.

        The cap is the mean over the frames of object score times predicted IoU, less the offset.
        """
        offset = self.config.extensions.object_score_offset
        if text_features is None or not offset:
            return prompts
        decoded = self.decode_independently(frames, prompts)
        iou = decoded.ious.gather(1, decoded.best[:, None])
        cap = ((decoded.object_score + offset) * iou).mean() - offset
        return dataclasses.replace(prompts, object_score_cap=cap.expand(len(frames)))
