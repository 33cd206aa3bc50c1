"""The three roles of the pipeline, each of which may be played by anything, and what passes between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Box = tuple[float, float, float, float]
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
class Proposal:
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
    box: Box
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


class Proposer(Protocol):
    """Tells where something may be in a picture.

    Attributes:
        name: tells apart proposers whose answers differ, for the cache.
    """

    name: str

    def propose(self, image: np.ndarray, label: str) -> list[tuple[Box, float]]:
        """Boxes and scores, best first.

        Args:
            image: (H, W, 3) uint8 RGB.
            label: what to look for.
        """
        ...


class Selector(Protocol):
    """Decides from which frame and box SAM 2 is to start."""

    def select(self, proposals: Sequence[Proposal]) -> Proposal | None:
        """One of the proposals for a label, over all frames; None where none will do."""
        ...
