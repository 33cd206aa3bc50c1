"""What is scored, and who gives it: the model, or anything else that makes masks of a clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from auralsam2.data.samples import LoadedClip


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """Masks of the T frames of a clip.

    Attributes:
        logits: (T, h, w) float of any size; above 0 is the object.
        ious: (T,) the predictor's own estimate of each mask's IoU.
        object_scores: (T,) logit of "the object is in this frame".
    """

    logits: torch.Tensor
    ious: torch.Tensor
    object_scores: torch.Tensor


class Predictor(Protocol):
    """Makes masks of clips.

    Attributes:
        name: by which reports name it.
        identity: plain values on which its masks depend; a run goes on only with the same ones.
    """

    name: str
    identity: dict[str, str]

    def prepare(self, clip: LoadedClip) -> Any:
        """What can be done ahead, in another thread, while another clip is predicted."""
        ...

    def predict(self, clip: LoadedClip, prepared: Any) -> Prediction:
        """Make the masks; `prepared` is what `prepare` gave for this clip."""
        ...
