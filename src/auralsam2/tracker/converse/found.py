"""What was found of an object on a frame, and how two findings become one (the ensemble of the paper's section 4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch

from auralsam2.tracker.tracker import Tracked, full_size

Merge = Literal["mean_prob", "mean_logit", "max_iou_score", "union"]
MERGES: tuple[Merge, ...] = get_args(Merge)
_SURE = 1e-6
"""Probabilities are kept so far from 0 and 1, for their logits to be finite."""


@dataclass(frozen=True, slots=True)
class Found:
    """The mask of one object on one frame.

    Attributes:
        low: (4h, 4w) float32 logits at the decoder's size.
        iou: predicted IoU, in [0, 1].
        object_score: logit of "the object is in the frame".
    """

    low: torch.Tensor
    iou: float
    object_score: float

    @classmethod
    def of(cls, tracked: Tracked) -> Found:
        """The chosen mask of a tracked frame."""
        # A copy, so that the candidates that were not chosen take no memory.
        low = tracked.decoded.logits[0, tracked.best].float().clone()
        return cls(low, tracked.iou, tracked.object_score)

    def logits(self, size: int) -> torch.Tensor:
        """(S, S) float32, bilinear."""
        return full_size(self.low[None, None], size)[0, 0]


def merge(first: Found, second: Found, rule: Merge) -> Found:
    """One mask of two.

    `mean_prob` and `mean_logit` draw the same border at the decoder's size, since the mean of two probabilities passes
    one half where the sum of their logits passes zero; in between pixels and in the logits they differ.

    Args:
        first: of one prompting.
        second: of the other.
        rule: `mean_prob`, the mean of the probabilities; `mean_logit`, of the logits; `max_iou_score`, the mask that
            the decoder trusts more, the first on a tie; `union`, whatever is in one of them.
    """
    if rule == "max_iou_score":
        return first if first.iou >= second.iou else second
    iou = (first.iou + second.iou) / 2
    if rule == "union":
        return Found(torch.maximum(first.low, second.low), iou, max(first.object_score, second.object_score))
    score = (first.object_score + second.object_score) / 2
    if rule == "mean_logit":
        return Found((first.low + second.low) / 2, iou, score)
    mean = (first.low.double().sigmoid() + second.low.double().sigmoid()) / 2
    return Found(mean.logit(_SURE).float(), iou, score)
