"""The state of one object: what was said of it, and what came of it on the frames where it was said."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch

from auralsam2.inference.feature_prompts import Condition
from auralsam2.inference.memory_bank import MemoryEntry
from auralsam2.inference.tracker import TrackedFrame, full_size
from auralsam2.modeling.prompt_encoder import VisualPrompts

Merge = Literal["mean_prob", "mean_logit", "max_iou_score", "union"]
MERGES: tuple[Merge, ...] = get_args(Merge)
_SURE = 1e-6
"""Probabilities are kept so far from 0 and 1, for their logits to be finite."""


@dataclass(frozen=True, slots=True)
class MaskPrediction:
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
    def of(cls, tracked: TrackedFrame) -> MaskPrediction:
        """The chosen mask of a tracked frame."""
        # A copy, so that the candidates that were not chosen take no memory.
        low = tracked.decoded.logits[0, tracked.best].float().clone()
        return cls(low, tracked.iou, tracked.object_score)

    def logits(self, size: int) -> torch.Tensor:
        """(S, S) float32, bilinear."""
        return full_size(self.low[None, None], size)[0, 0]


def merge_predictions(first: MaskPrediction, second: MaskPrediction, rule: Merge) -> MaskPrediction:
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
        return MaskPrediction(torch.maximum(first.low, second.low), iou, max(first.object_score, second.object_score))
    score = (first.object_score + second.object_score) / 2
    if rule == "mean_logit":
        return MaskPrediction((first.low + second.low) / 2, iou, score)
    mean = (first.low.double().sigmoid() + second.low.double().sigmoid()) / 2
    return MaskPrediction(mean.logit(_SURE).float(), iou, score)


UNCONDITIONED = Condition(False, None)


@dataclass(frozen=True, slots=True)
class ConditioningFrame:
    """A frame on which the user points at an object; the memory of the object grows from these.

    Attributes:
        rounds: the visual prompts after each thing said, each with all said before; every round corrects the mask of
            the one before.
        corrects: (4h, 4w) logits of the mask on display when the first was said, or None.
        found: the mask after the last round.
        remembered: what other frames attend to.
    """

    rounds: tuple[VisualPrompts, ...]
    corrects: torch.Tensor | None
    found: MaskPrediction
    remembered: MemoryEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectState:
    """One object as far as the user has told of it. Never changed: what is said makes a new one.

    Attributes:
        number: of the object; 0 is what sounds.
        condition: what the fuser is told.
        conditioning_frames: by index of the frame.
        versions: of this state and those it came from, the newest first; the masks they gave are those on display.
    """

    number: int
    condition: Condition = UNCONDITIONED
    conditioning_frames: Mapping[int, ConditioningFrame] = field(default_factory=dict)
    versions: tuple[int, ...] = ()

    @property
    def fuses(self) -> bool:
        """Whether the fuser has anything to tell of it."""
        return self.condition.use_audio or self.condition.text is not None

    @property
    def empty(self) -> bool:
        """Whether nothing is asked of it."""
        return not (self.conditioning_frames or self.fuses)

    def with_conditioning_frame(self, index: int, seed: ConditioningFrame | None) -> ObjectState:
        """With another seed on a frame, or with none."""
        conditioning_frames = {kept: value for kept, value in self.conditioning_frames.items() if kept != index}
        if seed is not None:
            conditioning_frames[index] = seed
        return dataclasses.replace(self, conditioning_frames=dict(sorted(conditioning_frames.items())))
