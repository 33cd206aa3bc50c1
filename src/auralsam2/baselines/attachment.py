"""Where adapters attach: the blocks of an image encoder, and a twin of SAM 2 on which the hooks hang."""

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
        module: the block. What is added to its input is added here.
        inner: the module whose output an adapter changes: the MLP of a Hiera block; of a convolutional block its whole
            output, for it has no MLP.
        read, written: channels of the block's input and output.
        channels: axis of the channels: -1 in (T, H, W, d), 1 in (T, d, H, W).
    """

    module: nn.Module
    inner: nn.Module
    read: int
    written: int
    channels: int


def attachment_points(sam2: Sam2VideoModel, start: int = 0) -> tuple[AttachmentPoint, ...]:
    """The blocks of a SAM 2's image encoder, from one of them on.

    Those of Hiera are its transformer blocks in order. Of a convolutional backbone of timm (the bundled mini model's
    EfficientNet) they are the blocks of all its stages, in order.

    Args:
        sam2: with either kind of backbone.
        start: number of the first one, from 0.

    Raises:
        ConfigError: the backbone is of another kind, or has no block `start`.
    """
    backbone = sam2.vision_encoder.backbone
    stages = getattr(getattr(backbone, "timm_model", None), "blocks", None)
    if hasattr(backbone, "blocks"):
        every = [_transformer(module) for module in cast(nn.ModuleList, backbone.blocks)]
    elif isinstance(stages, nn.Sequential) and all(isinstance(stage, nn.Sequential) for stage in stages):
        every = [_convolutional(module) for stage in stages for module in cast(nn.Sequential, stage)]
    else:
        raise ConfigError(f"adapters need an image encoder of blocks, which {type(backbone).__name__} is not")
    if start >= len(every):
        raise ConfigError(f"start_block {start}: the image encoder has blocks 0 to {len(every) - 1}")
    return tuple(every[start:])


def weight_sharing_copy(sam2: Sam2VideoModel, own: Collection[str] = ()) -> Sam2VideoModel:
    """A SAM 2 that shares all numbers with another one, but has modules of its own: hooks on it touch nobody else.

    Args:
        sam2: the shared one.
        own: names of the modules whose parameters are copied too, and may learn; all others stay frozen.
    """
    prefixes = tuple(f"{name}." for name in own)
    tensors = itertools.chain(sam2.named_parameters(remove_duplicate=False), sam2.named_buffers(remove_duplicate=False))
    shared = {id(tensor): tensor for name, tensor in tensors if not name.startswith(prefixes)}
    made = copy.deepcopy(sam2, shared).eval()
    for name, parameter in made.named_parameters():
        if name.startswith(prefixes):
            parameter.requires_grad_(True)
    return made


def block_norms(sam2: Sam2VideoModel, start: int) -> tuple[str, ...]:
    """Names of the layer normalisations in the blocks from `start` on.

    Raises:
        ConfigError: there are none.
    """
    inside = {id(part) for block in attachment_points(sam2, start) for part in block.module.modules()}
    found = [name for name, part in sam2.named_modules() if id(part) in inside and isinstance(part, nn.LayerNorm)]
    if not found:
        raise ConfigError("gavs.norms: this image encoder has no layer normalisations: set it to false")
    return tuple(found)


def _transformer(module: nn.Module) -> AttachmentPoint:
    return AttachmentPoint(module, cast(nn.Module, module.mlp), cast(int, module.dim), cast(int, module.dim_out), -1)


def _convolutional(module: nn.Module) -> AttachmentPoint:
    convolutions = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    return AttachmentPoint(module, module, convolutions[0].in_channels, convolutions[-1].out_channels, 1)


def broadcast_to_block(vectors: torch.Tensor, block: AttachmentPoint) -> torch.Tensor:
    """(T, d) as something to add to each place of a block's input."""
    return vectors[:, None, None, :] if block.channels == -1 else vectors[:, :, None, None]
