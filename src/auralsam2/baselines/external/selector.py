"""A selector by rules, in the place of the language model of the original."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auralsam2.baselines.external.roles import Box, Proposal

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

    def select(self, proposals: Sequence[Proposal]) -> Proposal | None:
        """One of the proposals for a label, over all frames; None where none is sure enough."""
        sure = [proposal for proposal in proposals if proposal.score >= self.least]
        whole = [one for one in sure if not any(_part_of(one, other) for other in sure)]
        if not whole:
            return None
        most = max(proposal.motion for proposal in whole)

        def rank(proposal: Proposal) -> tuple[float, int, Box]:
            moves = 0.5 + 0.5 * (proposal.motion / most if most else 0.0)
            size = 0.5 if proposal.area > WHOLE else min(1.0, proposal.area / SMALL)
            return -proposal.score * size * moves, proposal.index, proposal.box

        return min(whole, key=rank)


def _part_of(one: Proposal, other: Proposal) -> bool:
    """Whether a box lies in a larger one of the same frame that is at least as sure; the picture has no parts."""
    if other.area > WHOLE or one.index != other.index or other.score < one.score or _size(other.box) <= _size(one.box):
        return False
    (a0, b0, a1, b1), (c0, d0, c1, d1) = one.box, other.box
    shared = _size((max(a0, c0), max(b0, d0), min(a1, c1), min(b1, d1)))
    return shared >= PART * _size(one.box)


def _size(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
