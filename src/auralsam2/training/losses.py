"""Mask losses of SAM 2 (paper Eq. 6), balanced cross-entropy and matching loss, in float32.

Shapes: T supervised frames, M candidate masks, S × S pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from auralsam2.evaluation.metrics import iou
from auralsam2.training.config import MaskLossConfig

FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0


@dataclass(frozen=True, slots=True)
class MaskLosses:
    """Sums over the frames of a clip, scalars.

    Attributes:
        focal, dice, iou, occlusion: without their weights. For the original baselines' loss, `focal` is the
            cross-entropy and `iou` the soft IoU loss.
        total: with their weights.
        best: (T,), index of the trained mask, also on frames without an object.
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

    Focal and dice loss are those of the best mask. A frame without an object has an occlusion term only. Candidates
    are compared without gradients; only masks with a loss are computed once more with them.

    Args:
        logits: (T, M, h, w), candidate masks; resized to S × S, bilinear.
        ious: (T, M), their predicted IoUs, in [0, 1].
        object_score: (T, 1), logits of "the object is in the frame".
        label: (T, S, S), non-zero where the object is.
        config: weights and choices.
        waking: use the balanced cross-entropy of all candidates, with weight 1, instead of the focal loss, and the
            dice loss of all candidates.
    """
    logits, ious, object_score = logits.float(), ious.float(), object_score.float()
    target = (label != 0).unsqueeze(1)
    if config.form != "sam2":
        return _original_loss(_resize(logits, target), target, with_iou=config.form == "cross_entropy+iou")
    present = target.flatten(1).any(1).float()
    with torch.no_grad():
        candidates = _resize(logits, target)
        focal, dice = focal_and_dice(candidates, target)
        weights = (config.focal, config.dice) if config.choice == "weighted" else (1.0, 1.0)
        best = (weights[0] * focal + weights[1] * dice).argmin(1)
    error = iou_loss(candidates, ious, target)
    if waking:
        every, share = _resize(logits, target), target.float()
        each = balanced_loss(every, share.expand_as(every))
        focal_sum = (present * each.mean(1)).sum() / config.focal
        dice_sum = (present * dice_loss(every, share).mean(1)).sum()
    else:
        rows = torch.arange(len(best), device=best.device)
        focal, dice = focal_and_dice(_resize(logits[rows, best, None], target), target)
        focal_sum, dice_sum = ((present * loss[:, 0]).sum() for loss in (focal, dice))
    error = error.mean(1) if config.iou_supervision == "all" else error.gather(1, best[:, None])[:, 0]
    iou_sum = (present * error).sum()
    occlusion = F.binary_cross_entropy_with_logits(object_score[:, 0], present, reduction="sum")
    total = config.focal * focal_sum + config.dice * dice_sum + config.iou * iou_sum + config.occlusion * occlusion
    return MaskLosses(focal_sum, dice_sum, iou_sum, occlusion, total, best)


def _resize(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Resize masks (T, M, h, w) to the size of their targets, bilinear."""
    size = target.shape[-2:]
    return logits if logits.shape[-2:] == size else F.interpolate(logits, size, mode="bilinear", align_corners=False)


def _original_loss(logits: torch.Tensor, target: torch.Tensor, *, with_iou: bool) -> MaskLosses:
    """Compute the loss of the original baselines, on all frames: cross-entropy of the pixels, and 1 - soft IoU.

    All candidates are trained alike, as the originals have a single mask.

    Args:
        logits: (T, M, S, S).
        target: (T, 1, S, S) bool.
        with_iou: add the soft IoU loss.
    """
    share = target.float().expand_as(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, share, reduction="none").mean((1, 2, 3)).sum()
    zero = logits.new_zeros(())
    soft_iou = zero
    if with_iou:
        both = (logits.sigmoid() * share).sum((-2, -1))
        either = (logits.sigmoid() + share).sum((-2, -1)) - both
        soft_iou = (1 - (both + 1) / (either + 1)).mean(1).sum()
    best = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
    return MaskLosses(entropy, zero, soft_iou, zero, entropy + soft_iou, best)


def focal_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Compute the mean over pixels of −α_t (1 − p_t)^γ ln p_t, where p_t is the probability of the true value.

    For a share y between 0 and 1, α_t, 1 − p_t and ln p_t are the means over object and background with weights y and
    1 − y.

    Args:
        logits: (..., h, w).
        target: (..., h, w), y in [0, 1], broadcast to the logits.

    Returns:
        (...,).
    """
    background, negated = 1 - target, -logits
    alpha = FOCAL_ALPHA * target + (1 - FOCAL_ALPHA) * background
    error = negated.sigmoid() * target + logits.sigmoid() * background
    log_p = F.logsigmoid(logits) * target + F.logsigmoid(negated) * background
    return (-alpha * error**FOCAL_GAMMA * log_p).mean((-2, -1))


def focal_and_dice(logits: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute `focal_loss` and `dice_loss` for binary targets, from one sigmoid.

    With q the probability of the wrong value, −ln p_t is softplus(logit q), and the dice loss is
    Σ q / (2 Σ y + 1 + Σ q − 2 Σ q y).

    Args:
        logits: (T, M, h, w).
        target: (T, 1, h, w) bool.

    Returns:
        (T, M) each.
    """
    share = target.float()
    wrong = logits * (1 - 2 * share)
    inside = share.flatten(1).unsqueeze(2)
    q = wrong.sigmoid()
    each = (q * q * F.softplus(wrong)).flatten(2)
    q = q.flatten(2)
    with torch.autocast(logits.device.type, enabled=False):  # sums over pixels need float32
        focal = (1 - FOCAL_ALPHA) * each.sum(2) - (1 - 2 * FOCAL_ALPHA) * (each @ inside)[..., 0]
        total = q.sum(2)
        dice = total / (2 * inside.sum(1) + 1 + total - 2 * (q @ inside)[..., 0])
    return focal / each.shape[2], dice


def balanced_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Compute the mean of the cross-entropies of object and background.

    Args:
        logits: (..., h, w).
        target: (..., h, w) in [0, 1], share of each cell that the object covers.

    Returns:
        (...,).
    """
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    inside = (each * target).sum((-2, -1)) / target.sum((-2, -1)).clamp(min=1)
    outside = (each * (1 - target)).sum((-2, -1)) / (1 - target).sum((-2, -1)).clamp(min=1)
    return (inside + outside) / 2


def dice_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Compute 1 − (2 Σ p y + 1) / (Σ p + Σ y + 1) over pixels; shapes as in `focal_loss`."""
    p = logits.sigmoid()
    both = (p * target).sum((-2, -1))
    return 1 - (2 * both + 1) / (p.sum((-2, -1)) + target.sum((-2, -1)) + 1)


def iou_loss(logits: torch.Tensor, ious: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Compute |predicted − true IoU| of the masks logits > 0.

    Args:
        logits: (T, M, S, S).
        ious: (T, M), predicted.
        target: (T, 1, S, S) bool.

    Returns:
        (T, M).
    """
    mask = logits > 0
    return (ious - iou((mask & target).sum((-2, -1)), (mask | target).sum((-2, -1)))).abs()


def matching_loss(
    visual: tuple[torch.Tensor, ...],
    audio: tuple[torch.Tensor, ...],
    label: torch.Tensor,
    temperature: float,
    rivals: torch.Tensor | None = None,
) -> torch.Tensor:
    """Compute Σ_t mean over levels of the balanced cross-entropy of σ(e_v · e_a / τ) with the share of sounding pixels.

    Cells of silent objects, where known, get an additional term: the task is to tell them from the sounding object.

    Args:
        visual: e_v by level, (T, h·w, D), of norm 1; the grid is square.
        audio: e_a by level, (T, D), of norm 1.
        label: (T, S, S), non-zero on sounding objects.
        temperature: τ.
        rivals: (T, S, S), non-zero on silent objects.

    Returns:
        A scalar.
    """
    side = round(visual[0].shape[1] ** 0.5)
    share = F.adaptive_avg_pool2d((label != 0).float(), side)
    silent = None if rivals is None else F.adaptive_avg_pool2d((rivals != 0).float(), side) * (1 - share)
    losses = []
    for e_v, e_a in zip(visual, audio, strict=True):
        logits = (e_v.float() @ e_a.float()[:, :, None])[..., 0].unflatten(1, (side, side)) / temperature
        losses.append(balanced_loss(logits, share).sum())
        if silent is not None:
            wrong = (F.softplus(logits) * silent).sum((-2, -1)) / silent.sum((-2, -1)).clamp(min=1)
            losses[-1] = losses[-1] + wrong.sum() / 2
    return torch.stack(losses).mean()
