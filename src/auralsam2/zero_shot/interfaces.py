"""The three roles of the pipeline, each of which may be played by anything, and what passes between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

DetectionBox = tuple[float, float, float, float]
"""x0, y0, x1, y1 in source pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tag:
    """Something that sounds.

    Attributes:
        label: what it is.
        score: how sure, in [0, 1].
        active: of each second, whether it sounds then.
    """

    label: str
    score: float
    active: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """Where a label may be.

    Attributes:
        index: frame, from 0; one a second.
        time: the moment that the frame is of, in seconds.
        box: in source pixels.
        score: the proposer's, in [0, 1].
        area: share of the picture that the box covers.
        motion: mean difference to the frame before, inside the box, in [0, 1]; 0 in the first frame.
    """

    index: int
    time: float
    box: DetectionBox
    score: float
    area: float
    motion: float


class Tagger(Protocol):
    """Tells what sounds.

    Attributes:
        name: tells apart taggers whose answers differ, for the cache.
    """

    name: str

    def tag(self, seconds: np.ndarray) -> list[Tag]:
        """Tags of a clip, the surest first.

        Args:
            seconds: (T, 16000) float32, one channel at 16 kHz, a second a row.
        """
        ...


class Detector(Protocol):
    """Tells where something may be in a picture.

    Attributes:
        name: tells apart proposers whose answers differ, for the cache.
    """

    name: str

    def propose(self, image: np.ndarray, label: str) -> list[tuple[DetectionBox, float]]:
        """Boxes and scores, best first.

        Args:
            image: (H, W, 3) uint8 RGB.
            label: what to look for.
        """
        ...


class Selector(Protocol):
    """Decides from which frame and box SAM 2 is to start."""

    def select(self, proposals: Sequence[Detection]) -> Detection | None:
        """One of the proposals for a label, over all frames; None where none will do."""
        ...


PART = 0.9
"""Share of a box inside another one from which on it is a part of it."""
SMALL, WHOLE = 0.02, 0.95
"""Shares of the picture: smaller boxes count less, larger ones are the picture itself."""


@dataclass(frozen=True, kw_only=True)
class RuleSelector:
    """The box of the highest score × size × motion that is no part of a better one.

    Size: 1, but less for boxes of less than 2 % of the picture, and half for such as cover it all. Motion: from one
    half, at rest, to 1, for the one that moves most. Of equals, the one of the earlier frame, then of the lesser box.

    Attributes:
        least: proposals of a lower score are not looked at.
    """

    least: float = 0.3

    def select(self, proposals: Sequence[Detection]) -> Detection | None:
        """One of the proposals for a label, over all frames; None where none is sure enough."""
        sure = [proposal for proposal in proposals if proposal.score >= self.least]
        whole = [one for one in sure if not any(_part_of(one, other) for other in sure)]
        if not whole:
            return None
        most = max(proposal.motion for proposal in whole)

        def rank(proposal: Detection) -> tuple[float, int, DetectionBox]:
            moves = 0.5 + 0.5 * (proposal.motion / most if most else 0.0)
            size = 0.5 if proposal.area > WHOLE else min(1.0, proposal.area / SMALL)
            return -proposal.score * size * moves, proposal.index, proposal.box

        return min(whole, key=rank)


def _part_of(one: Detection, other: Detection) -> bool:
    """Whether a box lies in a larger one of the same frame that is at least as sure; the picture has no parts."""
    if other.area > WHOLE or one.index != other.index or other.score < one.score or _size(other.box) <= _size(one.box):
        return False
    (a0, b0, a1, b1), (c0, d0, c1, d1) = one.box, other.box
    shared = _size((max(a0, c0), max(b0, d0), min(a1, c1), min(b1, d1)))
    return shared >= PART * _size(one.box)


def _size(box: DetectionBox) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
