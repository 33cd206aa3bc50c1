"""Mask2Former of transformers with a guide, audio and adapters."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation
from transformers.models.swin.modeling_swin import SwinLayer

from auralsam2.semantics.guidance import Guidance, GuidedDecoder, GuidedPositionEmbedding
from auralsam2.semantics.stage_config import SecondStageConfig

TRAINED = (
    "queries_embedder", "avs_adapt", "class_predictor", "audio_proj", "audio_embed", "silence_embed", "uncertain_embed",
)  # fmt: skip
"""Parts of the names of all parameters that are trained in both phases."""
SWIN_ADAPTER = "swin_adapt"
"""Part of the names of those that are trained in the second phase only."""
STANDARD_DEVIATION = 0.02
"""Of initial weights outside the decoders."""


class GuidedMask2Former(Mask2FormerForUniversalSegmentation):
    """Mask2Former whose decoder takes a guide and audio, with adapters after frozen layers.

    Subclasses replace the position embedding and the decoder. Hooks call the adapters, which are submodules of the
    layers that they follow.

    Args:
        config: of transformers.
        stage: of the second stage; its names are the classes.
    """

    def __init__(self, config: Mask2FormerConfig, stage: SecondStageConfig) -> None:
        super().__init__(config)
        self.stage, self.guidance = stage, Guidance()
        module = self.model.transformer_module
        if stage.guide_positions:
            module.position_embedder = GuidedPositionEmbedding(config.hidden_dim, self.guidance)
        module.decoder = GuidedDecoder(config, stage, self.guidance)
        if stage.adapters:
            pixel_decoder = self.model.pixel_level_module.decoder
            for layers, name in ((pixel_decoder.encoder.layers, "output_proj"), (module.decoder.layers, "out_proj")):
                for layer in layers:
                    output = layer.get_submodule(f"self_attn.{name}")
                    attach_adapter(output, "avs_adapt", stage.adapter_width, skip=False)
        if stage.swin_adapters:
            for layer in self.backbone.modules():
                if isinstance(layer, SwinLayer):
                    attach_adapter(layer.attention.o_proj, f"{SWIN_ADAPTER}_1", None, skip=True)
                    attach_adapter(layer.mlp.fc2, f"{SWIN_ADAPTER}_3", None, skip=True)
        self._initialise()

    @property
    def backbone(self) -> nn.Module:
        """Swin, or another backbone of transformers, which has no Swin adapters."""
        return self.model.pixel_level_module.encoder

    @classmethod
    def from_stock(cls, stock: Mask2FormerForUniversalSegmentation, stage: SecondStageConfig) -> GuidedMask2Former:
        """Take the weights of a stock Mask2Former; a class head of another number of classes is made anew."""
        config = copy.deepcopy(stock.config)
        config.id2label = dict(enumerate(stage.names))
        config.label2id = {name: number for number, name in enumerate(stage.names)}
        model = cls(config, stage)
        own = model.state_dict()
        same = {name: value for name, value in stock.state_dict().items() if own[name].shape == value.shape}
        model.load_state_dict(own | same)
        return model

    def train(self, mode: bool = True) -> GuidedMask2Former:
        """Set the mode; a frozen `backbone`, or one without `drop_path`, stays in evaluation mode."""
        super().train(mode)
        if not self.stage.drop_path or self.stage.frozen == "backbone":
            self.backbone.eval()
        return self

    def freeze(self) -> None:
        """Set which parameters are trained: those with a name of `TRAINED`, the Swin adapters, and those not frozen."""
        for name, parameter in self.named_parameters():
            new = any(part in name for part in (*TRAINED, SWIN_ADAPTER))
            parameter.requires_grad_(new or self.stage.frozen != "stock")
        if self.stage.frozen == "backbone":
            self.backbone.requires_grad_(False)

    def forward(
        self,
        pixel_values: torch.Tensor,
        guide: torch.Tensor | None = None,
        audio: torch.Tensor | None = None,
        **others: Any,
    ) -> Any:
        """Run Mask2Former.

        Args:
            pixel_values: (B, 3, S, S), normalised.
            guide: (B, 1, h, w) float in [0, 1]; None for none.
            audio: (B, E); None for none.
            others: further arguments of transformers' model, such as `mask_labels` and `class_labels` for the loss.
        """
        self.guidance.mask, self.guidance.audio = guide, audio
        try:
            return super().forward(pixel_values=pixel_values, **others)
        finally:
            self.guidance.mask = self.guidance.audio = None
            self.guidance.first = False

    def _initialise(self) -> None:
        """Initialise the new parts as the published code does."""
        for name, module in self.named_modules():
            if "avs_adapt" in name and isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear) and any(
                part in name for part in (SWIN_ADAPTER, "audio_proj", "class_predictor")
            ):
                nn.init.normal_(module.weight, std=STANDARD_DEVIATION)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding) and any(part in name for part in TRAINED[4:]):
                nn.init.normal_(module.weight, std=STANDARD_DEVIATION)


def attach_adapter(layer: nn.Module, name: str, width: int | None, *, skip: bool) -> None:
    """Pass the output of a layer through a bottleneck, a new submodule of the layer.

    Args:
        layer: frozen linear layer of d output channels.
        name: of the submodule.
        width: hidden channels; None for d / 4.
        skip: add the output of the layer to that of the bottleneck; otherwise the bottleneck replaces it.
    """
    assert isinstance(layer, nn.Linear), "adapters follow linear layers"
    channels = layer.out_features
    width = channels // 4 if width is None else width
    adapter = nn.Sequential(nn.Linear(channels, width), nn.ReLU(), nn.Linear(width, channels))
    layer.add_module(name, adapter)
    layer.register_forward_hook(partial(_adapt, name, skip))


def _adapt(name: str, skip: bool, layer: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
    adapted = layer.get_submodule(name)(output)
    return output + adapted if skip else adapted
