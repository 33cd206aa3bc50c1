"""What is asked of B decoded prompts: the mask, how good it is, and whether the object is there at all.

Two rules for the masks: "balanced" from a cold start, where the other one stays on the plateau "all background", and
then "paper", 20 focal + dice as in SAM 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

from auralsam2.decoder.prompted import Decoded
from auralsam2.training.losses import balanced_loss

Rule = Literal["balanced", "paper"]

FOCAL = 20.0
HINT = {"balanced": 5.0, "paper": 1.0}
"""Weight of the linear head: what wakes the decoder would later outweigh the masks themselves."""
ALPHA, GAMMA = 0.25, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of the loss, weighted, each a scalar, and what to watch.

    Attributes:
        mask: focal or balanced cross-entropy, of token 0 and of the best of the other three.
        dice: likewise.
        iou: squared error of the predicted IoUs.
        score: cross-entropy of "the object is there".
        hint: cross-entropy of a linear head on the decoder's keys.
        found: mean IoU of token 0's masks with the truth; no gradient.
    """

    mask: torch.Tensor
    dice: torch.Tensor
    iou: torch.Tensor
    score: torch.Tensor
    hint: torch.Tensor
    found: torch.Tensor

    @property
    def total(self) -> torch.Tensor:
        """What is minimised."""
        return self.mask + self.dice + self.iou + self.score + self.hint


def soft_targets(targets: torch.Tensor, parts: int) -> torch.Tensor:
    """The share of each cell that the object covers.

    Args:
        targets: (B, S, S) bool.
        parts: side of a cell in pixels.

    Returns:
        (B, S / parts, S / parts) float.
    """
    return F.avg_pool2d(targets[:, None].float(), parts)[:, 0]


def focal(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Focal loss, α 0.25, γ 2, mean over the cells; shapes as of `balanced_loss`."""
    targets = targets.expand_as(logits)
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    chance = logits.sigmoid()
    missed = 1 - (chance * targets + (1 - chance) * (1 - targets))
    weight = ALPHA * targets + (1 - ALPHA) * (1 - targets)
    return (weight * missed**GAMMA * each).mean((-2, -1))


def dice(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """1 - (2 Σ p t + 1) / (Σ p + Σ t + 1); shapes as of `balanced_loss`."""
    chance = logits.sigmoid()
    shared = (chance * targets).sum((-2, -1))
    return 1 - (2 * shared + 1) / (chance.sum((-2, -1)) + targets.sum((-2, -1)) + 1)


@torch.no_grad()
def overlap(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """IoU of the masks, logits above 0, with the cells of which more than half is covered; 1 where both are empty."""
    found, true = logits > 0, (targets > 0.5).expand_as(logits)
    union = (found | true).sum((-2, -1))
    return torch.where(union > 0, (found & true).sum((-2, -1)) / union.clamp(min=1), 1.0)


def judge(decoded: Decoded, hints: torch.Tensor, targets: torch.Tensor, rule: Rule) -> Terms:
    """The loss of B prompts.

    A frame from which the object is gone counts for "is it there" alone.

    Args:
        decoded: with all four masks: (B, 4, 4h, 4w).
        hints: (B, h, w) logits of the linear head.
        targets: (B, S, S) bool.
        rule: see above.
    """
    fine = soft_targets(targets, targets.shape[-1] // decoded.logits.shape[-1])[:, None]
    coarse = soft_targets(targets, targets.shape[-1] // hints.shape[-1])
    present = targets.flatten(1).any(1)
    share = present.float() / present.sum().clamp(min=1)
    shape = (
        FOCAL * focal(decoded.logits, fine)
        if rule == "paper"
        else balanced_loss(decoded.logits, fine.expand_as(decoded.logits))
    )
    outline = dice(decoded.logits, fine)
    best = (shape + outline)[:, 1:].argmin(1, keepdim=True) + 1
    chosen = torch.cat([torch.zeros_like(best), best], dim=1)
    true = overlap(decoded.logits, fine)
    hint = F.binary_cross_entropy_with_logits(hints, coarse, reduction="none").mean((1, 2))
    return Terms(
        mask=(share * shape.gather(1, chosen).mean(1)).sum(),
        dice=(share * outline.gather(1, chosen).mean(1)).sum(),
        iou=(share * (decoded.ious - true).square().mean(1)).sum(),
        score=F.binary_cross_entropy_with_logits(decoded.object_score[:, 0], present.float()),
        hint=HINT[rule] * (share * hint).sum(),
        found=(share * true[:, 0]).sum(),
    )


@torch.no_grad()
def sensitivity(logits: torch.Tensor, frames: torch.Tensor, objects: torch.Tensor) -> float | None:
    """How much the mask changes with the prompt: 1 - soft IoU of two masks of one frame, prompted for two objects.

    Near 0 the decoder ignores its prompts; the true masks, which are disjoint, would give 1.

    Args:
        logits: (B, h, w).
        frames: (B,), which frame each prompt belongs to.
        objects: (B,), which object of it.

    Returns:
        the mean over all such pairs, None if there is none.
    """
    pair = (frames[:, None] == frames) & (objects[:, None] != objects)
    one, other = torch.nonzero(pair.triu(), as_tuple=True)
    if not len(one):
        return None
    chance = logits.sigmoid().flatten(1)
    both = torch.minimum(chance[one], chance[other]).sum(1) / torch.maximum(chance[one], chance[other]).sum(1)
    return float(1 - both.mean())
