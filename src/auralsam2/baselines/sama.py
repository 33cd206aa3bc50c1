"""SAMA-AVS† (after Liu et al., WACV 2024): audio is added to the input of SAM 2's encoder blocks; its decoder is tuned.

The audio of a frame passes a bottleneck per block, then a projection that blocks of one width share. The result is
added to every pixel of the block's input. The mask decoder gets no prompt; a copy of it is trained as a whole.
docs/concepts/baselines.md lists differences from the original.
"""

from __future__ import annotations

import functools
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Sam2VideoModel

from auralsam2.baselines.adapters import Adapters, Bottleneck, TextAttention, zero_init
from auralsam2.baselines.attachment import AttachmentPoint, attachment_points, broadcast_to_block
from auralsam2.config import ModelConfig, SamaConfig
from auralsam2.types import FeaturePrompts

DEVIATION = 0.02
"""Standard deviation of the initial weights, as in the original."""


class Sama(Adapters):
    """Adapters of SAMA-AVS†, with the options of `config.sama`, for the blocks of a SAM 2."""

    def __init__(self, config: ModelConfig, sam2: Sam2VideoModel) -> None:
        options = config.sama or SamaConfig()
        super().__init__(config, options.width, stereo=options.stereo, standardize_inputs=options.standardize_inputs)
        self.options = options
        adapted = attachment_points(sam2, options.start_block)
        if options.form == "audio_vector":
            self.down = nn.ModuleList(nn.Linear(self.audio_input.width, options.width) for _ in adapted)
            widths = sorted({block.in_channels for block in adapted})
            self.up = nn.ModuleDict({str(width): nn.Linear(options.width, width) for width in widths})
            last = [cast(nn.Linear, layer) for layer in self.up.values()]
        else:
            self.audio = nn.Linear(self.audio_input.width, options.width)
            self.bottlenecks = nn.ModuleList(
                Bottleneck(block.out_channels, options.width, nn.GELU()) for block in adapted
            )
            last = [cast(Bottleneck, bottleneck).up for bottleneck in self.bottlenecks]
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=DEVIATION)
                nn.init.zeros_(part.bias)
        if options.zero_init_last:
            for layer in last:
                zero_init(layer)
        attention_count = 0 if config.text is None else 1 if options.text_attention == "shared" else len(adapted)
        self.attentions = nn.ModuleList(TextAttention(options.width) for _ in range(attention_count))

    def trainable_modules(self, sam2: Sam2VideoModel) -> tuple[str, ...]:
        """Return the mask decoder."""
        return ("mask_decoder",)

    def attach(self, sam2: Sam2VideoModel) -> None:
        """Attach the adapters to a SAM 2 permanently."""
        for number, block in enumerate(attachment_points(sam2, self.options.start_block)):
            # One attention for all blocks, one per block, or none.
            attention = self.attentions[min(number, len(self.attentions) - 1)] if self.attentions else None
            attend_text = functools.partial(self.attend_text, attention=attention)
            if self.options.form == "audio_vector":
                block.module.register_forward_pre_hook(self._vector_hook(number, block, attend_text))
            else:
                block.inner.register_forward_hook(self._token_hook(number, block, attend_text))

    def prompts(self, audio: torch.Tensor) -> FeaturePrompts:
        """Return no prompts: the image embedding contains the audio."""
        return FeaturePrompts()

    def _vector_hook(self, number: int, block: AttachmentPoint, attend_text: Any) -> Any:
        down, up = self.down[number], self.up[str(block.in_channels)]

        def add(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            added = up(attend_text(F.gelu(down(self.context.audio))))
            return (inputs[0] + broadcast_to_block(added, block), *inputs[1:])

        return add

    def _token_hook(self, number: int, block: AttachmentPoint, attend_text: Any) -> Any:
        bottleneck = self.bottlenecks[number]

        def add(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
            audio = self.audio(self.context.audio)
            added = bottleneck(output.movedim(block.channel_axis, -1), audio=audio, attend_text=attend_text)
            return output + added.movedim(-1, block.channel_axis)

        return add
