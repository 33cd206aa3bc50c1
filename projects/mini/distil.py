"""Teach AuralFuser's dense prompts to say what SAM 2's mask prompt says.

SAM 2's prompt encoder turns a mask into a map that is added to the image, at the place where the first dense prompt of
Eq. 5 is added. Nearly all of its deviation lies on one axis, from the embedding of an empty mask to that of a full one.
So the first dense prompt can replace a mask prompt if it has the right size and its part along that axis follows the
mask. `calibrate` gives the size, `distillation_loss` the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from auralsam2.modeling.network import AuralNetwork
from auralsam2.training.losses import balanced_loss
from auralsam2.types import FeaturePrompts

FIRM = 10.0
"""Logit of a given mask, SAM 2's number."""
LATER_GAIN = 0.3
"""Mean gain of the dense prompts of levels 2 and 3. The image has been normalised by then; ten times more drowns it."""


@dataclass(frozen=True, kw_only=True)
class MaskAxis:
    """The axis along which mask embeddings lie.

    Attributes:
        direction: (C,), of norm 1, from the embedding of an empty mask to that of a full one.
        amplitude: half their distance.
    """

    direction: torch.Tensor
    amplitude: torch.Tensor

    def read(self, dense: torch.Tensor) -> torch.Tensor:
        """The part along the axis of (..., C): -1 for an empty mask, 1 for a full one."""
        return dense @ self.direction / self.amplitude


def mask_embedding(prompt_encoder: nn.Module, soft: torch.Tensor) -> torch.Tensor:
    """What a mask prompt adds to the image where no mask is given.

    Args:
        prompt_encoder: of SAM 2.
        soft: (B, 4h, 4w), the share of each cell that the object covers.

    Returns:
        (B, h·w, C).
    """
    added = prompt_encoder.mask_embed((2 * soft[:, None] - 1) * FIRM)
    return (added - prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)).flatten(2).transpose(1, 2)


@torch.no_grad()
def mask_axis(prompt_encoder: nn.Module) -> MaskAxis:
    """Measure the axis on an empty and a full mask, away from the image's edge."""
    soft = torch.stack([torch.zeros(64, 64), torch.ones(64, 64)])
    empty, full = mask_embedding(prompt_encoder, soft).unflatten(1, (16, 16))[:, 8, 8]
    half = (full - empty) / 2
    return MaskAxis(direction=half / half.norm(), amplitude=half.norm())


@torch.no_grad()
def calibrate(network: AuralNetwork, masks: torch.Tensor) -> None:
    """Set the gains of the dense prompts for a fuser that standardises and reads its levels fine to coarse.

    The first level's gains become the root mean square of each channel of the mask embedding. The later ones keep the
    shape of these at the size that the decoder's normalised image stands.

    Args:
        network: with first or trained weights.
        masks: (N, 256, 256) bool, what sounds in some training frames.
    """
    encoder, gains = network.sam2.prompt_encoder, network.fuser.visual_gains
    size = encoder.mask_input_size
    soft = F.interpolate(masks[:, None].float(), size=size, mode="bilinear", align_corners=False, antialias=True)
    scale = mask_embedding(encoder, soft[:, 0]).square().mean((0, 1)).sqrt()
    gains[0] = scale
    gains[1:] = LATER_GAIN * scale / scale.mean()


def distillation_loss(
    axis: MaskAxis,
    scale: torch.Tensor,
    prompts: FeaturePrompts,
    visual: tuple[torch.Tensor, ...],
    sounding: torch.Tensor,
    silent: torch.Tensor,
    target: torch.Tensor,
    *,
    sharpness: float = 4.0,
    deep: float = 0.5,
    exact: float = 0.2,
) -> torch.Tensor:
    """Mean over frames of the distance between dense prompts and the embedding of the mask of what sounds.

    Args:
        axis: of the mask embedding.
        scale: (C,), the first level's gains as `calibrate` set them.
        prompts: the fuser's.
        visual: of each level, (B, h·w, C), the fused visual tokens before their gains.
        sounding: (B, h, w), the share of each cell that what sounds covers.
        silent: (B, h, w), the share that silent objects cover.
        target: (B, h·w, C), the embedding of the mask.
        sharpness: logit of a prompt that lies at the embedding of a full mask.
        deep: weight of levels 2 and 3, read as if they had the first level's gains.
        exact: weight of the squared error along the axis, over the variance of the target.

    Returns:
        A scalar.
    """
    grid = sounding.shape[1:]

    def cross_entropy(reading: torch.Tensor) -> torch.Tensor:
        logits = sharpness * reading.unflatten(1, grid)
        wrong = (F.softplus(logits) * silent).sum((-2, -1)) / silent.sum((-2, -1)).clamp(min=1)
        return (balanced_loss(logits, sounding) + wrong / 2).mean()

    reading, wanted = axis.read(prompts.visual_prompts[0]), axis.read(target)
    loss = cross_entropy(reading) + exact * (reading - wanted).square().mean() / wanted.var()
    for level in visual[1:]:
        loss = loss + deep * cross_entropy(axis.read(level * scale))
    return loss
