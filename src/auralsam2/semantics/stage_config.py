"""Configuration of the second stage. This module does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from auralsam2.config import AudioEncoderConfig
from auralsam2.errors import ConfigError
from auralsam2.utils.configs import bounded_field, check_fields

Frozen = Literal["stock", "backbone", "none"]
SILENT, SOUNDING = 0.4, 0.6
"""Values of the guide up to which a position is silent, and from which it is sounding; uncertain between them."""


@dataclass(frozen=True, kw_only=True)
class SecondStageConfig:
    """Second stage of Stepping Stones; the defaults are the published ones.

    Attributes:
        names: of the classes by number; class 0 is the background, which is a class of its own.
        image_size: side of the input in pixels.
        label_size: side of labels and guides in pixels.
        adapter_width: channels of the bottleneck after attention.
        audio_hidden: channels of the hidden layer between audio embedding and queries.
        audio_encoder: VGGish, frozen.
        guide_features: add the guide to the mask features.
        guide_positions: add a learned vector for silent, uncertain or sounding to the position of each key.
        guide_attention: the guide replaces the attention mask of the first decoder layer.
        audio: add the audio to the content of the queries.
        adapters: bottlenecks without skip after the attention of pixel decoder and decoder.
        swin_adapters: residual bottlenecks in the blocks of Swin.
        drop_path: train with Swin's stochastic depth, although its weights are frozen, as published.
        frozen: weights that are not trained: those of the `stock` Mask2Former, as published; or, for a stock of random
            weights, those of its `backbone` alone, or `none`.
    """

    names: tuple[str, ...]
    image_size: int = bounded_field(384, 32, 4096)
    label_size: int = bounded_field(224, 8, 4096)
    adapter_width: int = bounded_field(64, 1, 8192)
    audio_hidden: int = bounded_field(512, 1, 8192)
    audio_encoder: AudioEncoderConfig = field(default_factory=AudioEncoderConfig)
    guide_features: bool = True
    guide_positions: bool = True
    guide_attention: bool = True
    audio: bool = True
    adapters: bool = True
    swin_adapters: bool = True
    drop_path: bool = True
    frozen: Frozen = "stock"

    def __post_init__(self) -> None:
        check_fields(self, "stage")
        if len(set(self.names)) != len(self.names) or not 2 <= len(self.names) < 255:
            raise ConfigError(f"stage.names: {len(self.names)} names; give 2 to 254 different ones")
        if self.image_size % 32:
            raise ConfigError(f"stage.image_size {self.image_size} must be a multiple of 32")
