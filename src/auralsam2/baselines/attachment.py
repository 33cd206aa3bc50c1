"""Attachment of adapters: the blocks of an image encoder, and a weight-sharing copy of SAM 2 for the hooks."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Collection
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from transformers import Sam2VideoModel

from auralsam2.errors import ConfigError


@dataclass(frozen=True, slots=True)
class AttachmentPoint:
    """One block of an image encoder.

    Attributes:
        module: the block, to whose input an adapter may add.
        inner: module whose output an adapter may change: the MLP of a Hiera block; the whole block of a convolutional
            encoder, which has no MLP.
        in_channels, out_channels: channels of the block's input and output.
        channel_axis: axis of the channels: -1 in (T, H, W, d), 1 in (T, d, H, W).
    """

    module: nn.Module
    inner: nn.Module
    in_channels: int
    out_channels: int
    channel_axis: int


def attachment_points(sam2: Sam2VideoModel, start: int = 0) -> tuple[AttachmentPoint, ...]:
    """List the blocks of a SAM 2's image encoder from one of them on.

    These are the transformer blocks of Hiera, or the blocks of all stages of a convolutional backbone of timm (the
    EfficientNet of the bundled model).

    Args:
        sam2: SAM 2 with either kind of backbone.
        start: number of the first block, from 0.

    Raises:
        ConfigError: the backbone is of another kind, or has no block `start`.
    """
    backbone = sam2.vision_encoder.backbone
    stages = getattr(getattr(backbone, "timm_model", None), "blocks", None)
    if hasattr(backbone, "blocks"):
        points = [_transformer(module) for module in cast(nn.ModuleList, backbone.blocks)]
    elif isinstance(stages, nn.Sequential) and all(isinstance(stage, nn.Sequential) for stage in stages):
        points = [_convolutional(module) for stage in stages for module in cast(nn.Sequential, stage)]
    else:
        raise ConfigError(f"adapters need an image encoder of blocks, which {type(backbone).__name__} is not")
    if start >= len(points):
        raise ConfigError(f"start_block {start}: the image encoder has blocks 0 to {len(points) - 1}")
    return tuple(points[start:])


def weight_sharing_copy(sam2: Sam2VideoModel, trainable: Collection[str] = ()) -> Sam2VideoModel:
    """Copy a SAM 2 so that both share all weights, but hooks on the copy do not affect the original.

    The parameters of the modules in `trainable` are copied and trainable; all others stay shared and frozen.
    """
    prefixes = tuple(f"{name}." for name in trainable)
    tensors = itertools.chain(sam2.named_parameters(remove_duplicate=False), sam2.named_buffers(remove_duplicate=False))
    shared = {id(tensor): tensor for name, tensor in tensors if not name.startswith(prefixes)}
    copied = copy.deepcopy(sam2, shared).eval()
    for name, parameter in copied.named_parameters():
        if name.startswith(prefixes):
            parameter.requires_grad_(True)
    return copied


def block_norms(sam2: Sam2VideoModel, start: int) -> tuple[str, ...]:
    """List the names of the layer normalisations in the blocks from `start` on.

    Raises:
        ConfigError: there are none.
    """
    inside = {id(part) for block in attachment_points(sam2, start) for part in block.module.modules()}
    norms = [name for name, part in sam2.named_modules() if id(part) in inside and isinstance(part, nn.LayerNorm)]
    if not norms:
        raise ConfigError("gavs.norms: this image encoder has no layer normalisations: set it to false")
    return tuple(norms)


def _transformer(module: nn.Module) -> AttachmentPoint:
    return AttachmentPoint(module, cast(nn.Module, module.mlp), cast(int, module.dim), cast(int, module.dim_out), -1)


def _convolutional(module: nn.Module) -> AttachmentPoint:
    convolutions = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    return AttachmentPoint(module, module, convolutions[0].in_channels, convolutions[-1].out_channels, 1)


def broadcast_to_block(vectors: torch.Tensor, block: AttachmentPoint) -> torch.Tensor:
    """Reshape (T, d) to add it to each position of a block's input."""
    return vectors[:, None, None, :] if block.channel_axis == -1 else vectors[:, :, None, None]
