"""GAVS† (after Wang et al., AAAI 2024): adapters on the MLPs of SAM 2's encoder and decoder, and one audio token.

In every block from `start_block` on, the MLP's output m becomes m + A(m). Each two-way block of the mask decoder
changes its tokens likewise. Audio enters as a single sparse prompt. docs/concepts/baselines.md lists differences from
the original.
"""

from __future__ import annotations

import functools
from typing import Any, cast

import torch
from torch import nn
from transformers import Sam2VideoModel

from auralsam2.baselines.adapters import Adapters, Bottleneck, TextAttention, zero_init
from auralsam2.baselines.attachment import AttachmentPoint, attachment_points, block_norms
from auralsam2.config import GavsConfig, ModelConfig
from auralsam2.types import FeaturePrompts

AUDIO_HIDDEN = 512


class Gavs(Adapters):
    """Adapters of GAVS†, with the options of `config.gavs`, for the blocks of a SAM 2."""

    def __init__(self, config: ModelConfig, sam2: Sam2VideoModel) -> None:
        options = config.gavs or GavsConfig()
        super().__init__(config, options.width, stereo=options.stereo, standardize_inputs=options.standardize_inputs)
        self.options = options
        adapted, layers = attachment_points(sam2, options.start_block), sam2.mask_decoder.transformer.layers
        self.encoder_adapters = nn.ModuleList(
            Bottleneck(block.out_channels, options.width, nn.ReLU()) for block in adapted
        )
        self.attentions = nn.ModuleList(TextAttention(options.width) for _ in adapted) if config.text else None
        self.decoder_adapters = nn.ModuleList(Bottleneck(sam2.hidden_dim, options.width, nn.GELU()) for _ in layers)
        self.audio_projection = nn.Sequential(
            nn.Linear(self.audio_input.width, AUDIO_HIDDEN), nn.ReLU(), nn.Linear(AUDIO_HIDDEN, sam2.hidden_dim)
        )
        if options.zero_init_last:
            for adapter in (*self.encoder_adapters, *self.decoder_adapters):
                zero_init(cast(Bottleneck, adapter).up)

    def trainable_modules(self, sam2: Sam2VideoModel) -> tuple[str, ...]:
        """Return the layer normalisations of the blocks after the first adapted one, with `gavs.norms`."""
        return block_norms(sam2, self.options.start_block + 1) if self.options.norms else ()

    def attach(self, sam2: Sam2VideoModel) -> None:
        """Attach the adapters to a SAM 2 permanently."""
        for number, block in enumerate(attachment_points(sam2, self.options.start_block)):
            block.inner.register_forward_hook(self._encoder_hook(number, block))
        for layer, adapter in zip(sam2.mask_decoder.transformer.layers, self.decoder_adapters, strict=True):
            cast(nn.Module, layer.mlp).register_forward_hook(_decoder_hook(adapter))

    def prompts(self, audio: torch.Tensor) -> FeaturePrompts:
        """Return one audio token per frame."""
        return FeaturePrompts(token=self.audio_projection(audio))

    def _encoder_hook(self, number: int, block: AttachmentPoint) -> Any:
        adapter = self.encoder_adapters[number]
        attend_text = functools.partial(
            self.attend_text, attention=None if self.attentions is None else self.attentions[number]
        )

        def add(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
            added = adapter(output.movedim(block.channel_axis, -1), attend_text=attend_text)
            return output + added.movedim(-1, block.channel_axis)

        return add


def _decoder_hook(adapter: nn.Module) -> Any:
    def add(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return output + adapter(output)

    return add
