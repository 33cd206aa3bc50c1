"""SAMA-AVS† (after Liu et al., WACV 2024): sound is added to what SAM 2's encoder blocks read, and its decoder learns.

The sound of a frame goes through a bottleneck of each block's own, then through a projection that blocks of one width
share; the result is added to every pixel that the block reads. The mask decoder gets no prompt at all; a copy of it is
trained as a whole. docs/concepts/baselines.md tells where this differs from the original.
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
"""Of the first weights, as in the original."""


class Sama(Adapters):
    """The adapters of SAMA-AVS†.

    Args:
        config: of the model; `config.sama` has the options.
        sam2: tells the number and widths of the blocks.

    Raises:
        ConfigError: SAM 2's image encoder has no such blocks.
    """

    def __init__(self, config: ModelConfig, sam2: Sam2VideoModel) -> None:
        options = config.sama or SamaConfig()
        super().__init__(config, options.width, stereo=options.stereo, standardize_inputs=options.standardize_inputs)
        self.options = options
        adapted = attachment_points(sam2, options.start_block)
        if options.form == "audio_vector":
            self.down = nn.ModuleList(nn.Linear(self.ear.width, options.width) for _ in adapted)
            widths = sorted({block.read for block in adapted})
            self.up = nn.ModuleDict({str(width): nn.Linear(options.width, width) for width in widths})
            last = [cast(nn.Linear, layer) for layer in self.up.values()]
        else:
            self.audio = nn.Linear(self.ear.width, options.width)
            self.bottlenecks = nn.ModuleList(Bottleneck(block.written, options.width, nn.GELU()) for block in adapted)
            last = [cast(Bottleneck, bottleneck).up for bottleneck in self.bottlenecks]
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=DEVIATION)
                nn.init.zeros_(part.bias)
        if options.zero_init_last:
            for layer in last:
                zero_init(layer)
        readers = 0 if config.text is None else 1 if options.text_attention == "shared" else len(adapted)
        self.attentions = nn.ModuleList(TextAttention(options.width) for _ in range(readers))

    def own(self, sam2: Sam2VideoModel) -> tuple[str, ...]:
        """The mask decoder."""
        return ("mask_decoder",)

    def attach(self, sam2: Sam2VideoModel) -> None:
        """Hang the adapters into a SAM 2, for good."""
        for number, block in enumerate(attachment_points(sam2, self.options.start_block)):
            # One attention for all, one for each, or none.
            attention = self.attentions[min(number, len(self.attentions) - 1)] if self.attentions else None
            read = functools.partial(self.read, attention=attention)
            if self.options.form == "audio_vector":
                block.module.register_forward_pre_hook(self._vector_hook(number, block, read))
            else:
                block.inner.register_forward_hook(self._token_hook(number, block, read))

    def prompts(self, audio: torch.Tensor) -> FeaturePrompts:
        """Nothing: the image has the sound in it."""
        return FeaturePrompts()

    def _vector_hook(self, number: int, block: AttachmentPoint, read: Any) -> Any:
        down, up = self.down[number], self.up[str(block.read)]

        def add(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            added = up(read(F.gelu(down(self.now.audio))))
            return (inputs[0] + broadcast_to_block(added, block), *inputs[1:])

        return add

    def _token_hook(self, number: int, block: AttachmentPoint, read: Any) -> Any:
        bottleneck = self.bottlenecks[number]

        def add(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
            heard = self.audio(self.now.audio)
            added = bottleneck(output.movedim(block.channels, -1), more=heard, read=read)
            return output + added.movedim(-1, block.channels)

        return add
