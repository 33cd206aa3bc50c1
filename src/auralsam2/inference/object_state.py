"""State of one object: its prompts, and the predictions on its prompted frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch

from auralsam2.arguments import as_choice
from auralsam2.inference.feature_prompts import Condition
from auralsam2.inference.memory_bank import MemoryEntry
from auralsam2.inference.tracker import TrackedFrame, full_size
from auralsam2.modeling.prompt_encoder import VisualPrompts, mask_logits

Combine = Literal["joint", "ensemble"]
COMBINES: tuple[Combine, ...] = get_args(Combine)
Merge = Literal["mean_prob", "mean_logit", "max_iou_score", "union"]
MERGES: tuple[Merge, ...] = get_args(Merge)
_EPSILON = 1e-6
"""Distance of merged probabilities from 0 and 1, which keeps their logits finite."""


@dataclass(frozen=True, slots=True)
class MaskPrediction:
    """Predicted mask of one object on one frame.

    Attributes:
        low_res: (4h, 4w) float32 logits at the decoder's size.
        iou: predicted IoU, in [0, 1]; 1 for a given mask.
        object_score: logit of "the object is in the frame".
        given: (H, W) bool, the mask of the user, which is output unchanged; None for a decoded mask.
    """

    low_res: torch.Tensor
    iou: float
    object_score: float
    given: torch.Tensor | None = None

    @classmethod
    def of(cls, frame: TrackedFrame, visual: VisualPrompts | None = None) -> MaskPrediction:
        """Return the chosen mask of a tracked frame.

        Args:
            frame: the tracked frame.
            visual: its visual prompts.
        """
        given = None
        if visual is not None and visual.given_mask is not None:
            given = visual.given_mask if visual.source_mask is None else visual.source_mask
        # A copy frees the other candidates.
        low_res = frame.decoded.logits[0, frame.best].float().clone()
        return cls(low_res, frame.iou, frame.object_score, given)

    def logits(self, size: int) -> torch.Tensor:
        """Return the logits, float32: (size, size), resized bilinearly; those of a given mask at its own size."""
        if self.given is not None:
            return mask_logits(self.given)
        return full_size(self.low_res[None, None], size)[0, 0]


def merge_predictions(first: MaskPrediction, second: MaskPrediction, rule: Merge) -> MaskPrediction:
    """Merge two predictions of one object on one frame.

    `mean_prob` and `mean_logit` give the same mask at the decoder's size: the mean of two probabilities exceeds one
    half exactly where the sum of their logits exceeds zero. Their logits differ, and so do the resized masks.

    Args:
        first: one prediction.
        second: the other prediction.
        rule: `mean_prob`, mean of the probabilities; `mean_logit`, mean of the logits; `max_iou_score`, the prediction
            with the higher predicted IoU, the first one on a tie; `union`, union of both masks.
    """
    if rule == "max_iou_score":
        return first if first.iou >= second.iou else second
    iou = (first.iou + second.iou) / 2
    if rule == "union":
        score = max(first.object_score, second.object_score)
        return MaskPrediction(torch.maximum(first.low_res, second.low_res), iou, score)
    score = (first.object_score + second.object_score) / 2
    if rule == "mean_logit":
        return MaskPrediction((first.low_res + second.low_res) / 2, iou, score)
    mean = (first.low_res.double().sigmoid() + second.low_res.double().sigmoid()) / 2
    return MaskPrediction(mean.logit(_EPSILON).float(), iou, score)


def check_merging(combine: str, merge: str) -> None:
    """Check the names of a way to combine prompts and of a merge rule.

    Raises:
        UsageError: a name is unknown.
    """
    as_choice("combine", combine, COMBINES)
    as_choice("merge", merge, MERGES)


UNCONDITIONED = Condition(False, None)


@dataclass(frozen=True, slots=True)
class ConditioningFrame:
    """A frame on which an object has visual prompts. The memory of the object starts from these frames.

    Attributes:
        rounds: visual prompts after each round of interaction, earlier prompts included. Each round corrects the mask
            of the round before.
        initial: (4h, 4w) logits of the mask that the first round corrects, or None.
        prediction: the mask after the last round.
        entry: memory of the frame.
    """

    rounds: tuple[VisualPrompts, ...]
    initial: torch.Tensor | None
    prediction: MaskPrediction
    entry: MemoryEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectState:
    """State of one object. Immutable: each prompt creates a new state.

    Attributes:
        number: of the object; 0 is the sounding object.
        condition: audio and text.
        conditioning_frames: by index of the frame, ascending.
        versions: numbers of this state and of the states before it, the newest first; keys of the latest masks.
    """

    number: int
    condition: Condition = UNCONDITIONED
    conditioning_frames: Mapping[int, ConditioningFrame] = field(default_factory=dict)
    versions: tuple[int, ...] = ()

    @property
    def fuses(self) -> bool:
        """True if the object has audio or text prompts."""
        return self.condition.use_audio or self.condition.text is not None

    @property
    def empty(self) -> bool:
        """True if the object has no prompts."""
        return not (self.conditioning_frames or self.fuses)

    def with_conditioning_frame(self, index: int, frame: ConditioningFrame | None) -> ObjectState:
        """Return the state with the conditioning frame of an index replaced, or removed if `frame` is None."""
        frames = {other: value for other, value in self.conditioning_frames.items() if other != index}
        if frame is not None:
            frames[index] = frame
        return dataclasses.replace(self, conditioning_frames=dict(sorted(frames.items())))
