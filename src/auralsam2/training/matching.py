"""Tell pixel by pixel, by similarity alone, what sounds: a task beside the masks that reaches the fuser directly.

Of our own; neither in the paper nor in the release. AudioCon (Eq. 8) compares all seconds of a clip; this compares a
frame with its own second, and a frame in which nothing sounds is to be similar nowhere.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from auralsam2.training.losses import balanced_loss


def matching_loss(
    visual: tuple[torch.Tensor, ...],
    audio: tuple[torch.Tensor, ...],
    label: torch.Tensor,
    temperature: float,
    rivals: torch.Tensor | None = None,
) -> torch.Tensor:
    """Σ_t mean over levels of the cross-entropy of σ(e_v · e_a / τ) with the share of a cell that sounds.

    What sounds and what does not weigh the same; the objects that keep silent, where they are known, weigh once more as
    much: to tell them from the one that sounds is the task.

    Args:
        visual: e_v by level, (T, h·w, D), of norm 1; the grid is square.
        audio: e_a by level, (T, D), of norm 1.
        label: (T, S, S), non-zero where something sounds.
        temperature: τ.
        rivals: (T, S, S), non-zero where there is an object that keeps silent.

    Returns:
        A scalar.
    """
    side = round(visual[0].shape[1] ** 0.5)
    share = F.adaptive_avg_pool2d((label != 0).float(), side)
    quiet = None if rivals is None else F.adaptive_avg_pool2d((rivals != 0).float(), side) * (1 - share)
    losses = []
    for seen, heard in zip(visual, audio, strict=True):
        logits = (seen.float() @ heard.float()[:, :, None])[..., 0].unflatten(1, (side, side)) / temperature
        losses.append(balanced_loss(logits, share).sum())
        if quiet is not None:
            wrong = (F.softplus(logits) * quiet).sum((-2, -1)) / quiet.sum((-2, -1)).clamp(min=1)
            losses[-1] = losses[-1] + wrong.sum() / 2
    return torch.stack(losses).mean()
