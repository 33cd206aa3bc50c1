"""Prompt distillation: train the dense prompts of AuralFuser to replace SAM 2's mask prompt.

SAM 2's prompt encoder embeds a mask as a map that it adds to the image embedding. Step 1 of Eq. 5 adds the first dense
prompt to the same tensor. So the embedding of the mask of the sounding objects is a target for that prompt. Almost all
variance of mask embeddings is along one axis, from the embedding of an empty mask to that of a full one; the loss
compares prompt and target along this axis alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from auralsam2.modeling.network import AuralNetwork
from auralsam2.training.config import DistillationConfig
from auralsam2.training.losses import balanced_loss

MASK_LOGIT = 10.0
"""Logit at which SAM 2's prompt encoder reads a binary mask."""
MIN_VARIANCE = 1e-6


def embed_mask_cover(prompt_encoder: Any, cover: torch.Tensor) -> torch.Tensor:
    """Embed masks as SAM 2's mask prompt, less the embedding that it adds without a mask.

    Args:
        prompt_encoder: of SAM 2.
        cover: (B, 4h, 4w), share of each cell that the mask covers, 0 to 1.

    Returns:
        (B, h·w, C).
    """
    dense = prompt_encoder.mask_embed((2 * cover[:, None] - 1) * MASK_LOGIT)
    return (dense - prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)).flatten(2).transpose(1, 2)


def label_cover(labels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Average binary masks over the cells of a grid.

    Args:
        labels: (B, S, S), non-zero inside the mask.
        size: rows and columns of the grid.

    Returns:
        (B, rows, columns), 0 to 1.
    """
    return F.adaptive_avg_pool2d((labels != 0).float(), size)


@torch.no_grad()
def measure_mask_axis(prompt_encoder: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Measure the axis of mask embeddings, at the centre of an empty and a full mask.

    Returns:
        direction: (C,), of norm 1, from the embedding of the empty mask to that of the full one.
        amplitude: scalar, half their distance.
    """
    rows, columns = prompt_encoder.mask_input_size
    cover = torch.zeros(2, rows, columns, device=prompt_encoder.no_mask_embed.weight.device)
    cover[1] = 1
    centre = rows // 8 * (columns // 4) + columns // 8
    empty, full = embed_mask_cover(prompt_encoder, cover)[:, centre]
    half = (full - empty) / 2
    return half / half.norm(), half.norm()


class DistillationTarget(nn.Module):
    """Statistics of mask embeddings over training masks.

    Args:
        network: its SAM 2 embeds the masks.
        labels: (N, S, S), masks of sounding objects in training frames.

    Attributes:
        scale: (C,), root mean square of each channel of the embeddings.
        variance: scalar, of the embeddings along their axis.
        grid: h and w of the dense prompts.
    """

    direction: torch.Tensor
    amplitude: torch.Tensor
    scale: torch.Tensor
    variance: torch.Tensor
    prompt_encoder: Any

    @torch.no_grad()
    def __init__(self, network: AuralNetwork, labels: torch.Tensor) -> None:
        super().__init__()
        self.prompt_encoder = network.sam2.prompt_encoder
        rows, columns = self.prompt_encoder.mask_input_size
        self.grid = (rows // 4, columns // 4)
        direction, amplitude = measure_mask_axis(self.prompt_encoder)
        self.register_buffer("direction", direction)
        self.register_buffer("amplitude", amplitude)
        embeddings = self.embed(labels.to(network.device))
        self.register_buffer("scale", embeddings.square().mean((0, 1)).sqrt())
        self.register_buffer("variance", self.project(embeddings).var().clamp(min=MIN_VARIANCE))

    def embed(self, labels: torch.Tensor) -> torch.Tensor:
        """Embed masks (B, S, S) as `embed_mask_cover` does."""
        return embed_mask_cover(self.prompt_encoder, label_cover(labels, self.prompt_encoder.mask_input_size))

    def project(self, dense: torch.Tensor) -> torch.Tensor:
        """Project (..., C) on the axis: -1 for the embedding of an empty mask, 1 for that of a full one."""
        return dense @ self.direction / self.amplitude

    @torch.no_grad()
    def calibrate_gains(self, network: AuralNetwork, later_gain: float) -> None:
        """Set the gains of the dense prompts to the scales that the decoder reads.

        The gains of level 1 become the channel scales of the mask embeddings. Those of the later levels have the same
        proportions and a mean of `later_gain`: the decoder normalises the image embedding after its first block.
        """
        gains = network.fuser.visual_gains
        gains[0] = self.scale
        gains[1:] = later_gain * self.scale / self.scale.mean()


def distillation_loss(
    target: DistillationTarget,
    prompt: torch.Tensor,
    later: Sequence[torch.Tensor],
    labels: torch.Tensor,
    silent: torch.Tensor | None,
    config: DistillationConfig,
) -> torch.Tensor:
    """Σ_t of the distance between the dense prompts and the embedding of the mask of the sounding objects.

    With r the projection of the first dense prompt on the axis and r* that of the target, a frame's loss is
    BCE(s r, cover) + q mean (r − r*)² / Var(r*) + d Σ_later BCE(s r_later, cover). BCE is balanced and counts the cells
    of silent objects once more; r_later is the projection of the visual tokens times the scale of mask embeddings.

    Args:
        target: axis, scale and variance of the mask embeddings.
        prompt: (T, h·w, C), the dense prompts of level 1.
        later: (T, h·w, C) each, the fused visual tokens of the later levels, without gains.
        labels: (T, S, S), non-zero where an object sounds.
        silent: (T, S, S), non-zero where a silent object is; None where the data set has no outlines of objects.
        config: weights: s `sharpness`, q `squared_error`, d `later_levels`.

    Returns:
        A scalar, without `config.weight`.
    """
    cover = label_cover(labels, target.grid)
    quiet = None if silent is None else label_cover(silent, target.grid) * (1 - cover)

    def cross_entropy(projection: torch.Tensor) -> torch.Tensor:
        logits = config.sharpness * projection.unflatten(1, target.grid)
        loss = balanced_loss(logits, cover)
        if quiet is not None:
            loss = loss + (F.softplus(logits) * quiet).sum((-2, -1)) / quiet.sum((-2, -1)).clamp(min=1) / 2
        return loss.sum()

    projection = target.project(prompt.float())
    squared = (projection - target.project(target.embed(labels))).square().mean(1).sum() / target.variance
    loss = cross_entropy(projection) + config.squared_error * squared
    for tokens in later:
        loss = loss + config.later_levels * cross_entropy(target.project(tokens.float() * target.scale))
    return loss
