"""The loss of SAM 2 (paper Eq. 6): focal, dice, IoU and occlusion, of the best of the candidate masks.

Shapes: T supervised frames, M candidate masks, S pixels. All is computed in float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from auralsam2.training.config import MaskLossConfig

FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0


@dataclass(frozen=True, slots=True)
class MaskLosses:
    """Sums over the frames of a clip, scalars.

    Attributes:
        focal, dice, iou, occlusion: without their weights.
        total: with their weights.
        best: (T,) index of the mask that learns, also on frames without an object.
    """

    focal: torch.Tensor
    dice: torch.Tensor
    iou: torch.Tensor
    occlusion: torch.Tensor
    total: torch.Tensor
    best: torch.Tensor


def mask_losses(
    logits: torch.Tensor,
    ious: torch.Tensor,
    object_score: torch.Tensor,
    label: torch.Tensor,
    config: MaskLossConfig,
    *,
    waking: bool = False,
) -> MaskLosses:
    """Σ_t p_t (w_f focal + w_d dice + w_i |ŷ_IoU − IoU|) + w_o BCE(ŷ_obj, p_t), where p_t = 1 if frame t has an object.

    Focal and dice are those of the best mask. A frame without an object teaches only that there is none.

    Args:
        logits: (T, M, S, S), candidate masks.
        ious: (T, M), their predicted IoUs, in [0, 1].
        object_score: (T, 1), logits of "the object is in the frame".
        label: (T, S, S), non-zero where the object is.
        config: weights and choices.
        waking: the balanced cross-entropy of all candidates stands in for 20 focal, and dice is that of all.
    """
    logits, ious, object_score = logits.float(), ious.float(), object_score.float()
    target = (label != 0).unsqueeze(1)
    present = target.flatten(1).any(1).float()
    focal, dice, error = focal_loss(logits, target), dice_loss(logits, target), iou_loss(logits, ious, target)
    weights = (config.focal, config.dice) if config.choice == "weighted" else (1.0, 1.0)
    best = (weights[0] * focal + weights[1] * dice).detach().argmin(1)

    def of_best(loss: torch.Tensor) -> torch.Tensor:
        return loss.gather(1, best[:, None])[:, 0]

    if waking:
        each = balanced_loss(logits, target.expand_as(logits).float())
        focal_sum = (present * each.mean(1)).sum() / config.focal
        dice_sum = (present * dice.mean(1)).sum()
    else:
        focal_sum = (present * of_best(focal)).sum()
        dice_sum = (present * of_best(dice)).sum()
    iou_sum = (present * (error.mean(1) if config.iou_supervision == "all" else of_best(error))).sum()
    occlusion = F.binary_cross_entropy_with_logits(object_score[:, 0], present, reduction="sum")
    total = config.focal * focal_sum + config.dice * dice_sum + config.iou * iou_sum + config.occlusion * occlusion
    return MaskLosses(focal_sum, dice_sum, iou_sum, occlusion, total, best)


def focal_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean over pixels of −α_t (1 − p_t)^γ ln p_t, where p_t is the probability of the truth.

    Args:
        logits: (T, M, S, S).
        target: (T, 1, S, S) bool.

    Returns:
        (T, M).
    """
    # The logit of the truth: p_t is its sigmoid, 1 − p_t that of its opposite.
    truth = torch.where(target, logits, -logits)
    alpha = torch.where(target, FOCAL_ALPHA, 1 - FOCAL_ALPHA)
    return (-alpha * truth.neg().sigmoid() ** FOCAL_GAMMA * F.logsigmoid(truth)).flatten(2).mean(2)


def balanced_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy in which object and background weigh the same.

    Args:
        logits: (..., h, w).
        target: (..., h, w), 0 to 1: the share of each cell that the object covers.

    Returns:
        (...,).
    """
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    inside = (each * target).sum((-2, -1)) / target.sum((-2, -1)).clamp(min=1)
    outside = (each * (1 - target)).sum((-2, -1)) / (1 - target).sum((-2, -1)).clamp(min=1)
    return (inside + outside) / 2


def dice_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """1 − (2 Σ p y + 1) / (Σ p + Σ y + 1) over pixels; shapes of `focal_loss`."""
    p, y = logits.sigmoid().flatten(2), target.flatten(2).float()
    return 1 - (2 * (p * y).sum(2) + 1) / (p.sum(2) + y.sum(2) + 1)


def iou_loss(logits: torch.Tensor, ious: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """|predicted − true IoU| of the masks logits > 0; an empty union counts as one pixel.

    Args:
        logits: (T, M, S, S).
        ious: (T, M), predicted.
        target: (T, 1, S, S) bool.

    Returns:
        (T, M).
    """
    mask = logits > 0
    both, either = (mask & target).flatten(2).sum(2), (mask | target).flatten(2).sum(2)
    return (ious - both / either.clamp_min(1)).abs()


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
