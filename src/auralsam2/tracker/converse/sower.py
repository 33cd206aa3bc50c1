"""The sower: what becomes of a frame on which the user points at an object."""

from __future__ import annotations

from auralsam2.decoder.visual import VisualPrompts
from auralsam2.tracker.converse.display import Display
from auralsam2.tracker.converse.follower import Follower
from auralsam2.tracker.converse.pointing import anchored, takes_away, together
from auralsam2.tracker.converse.track import Track


class Sower:
    """Makes seeds of visual prompts.

    Args:
        follower: finds objects by them.
        display: knows the masks that clicks correct.
        size: S.
    """

    def __init__(self, follower: Follower, display: Display, size: int) -> None:
        self._follower, self._display, self._size = follower, display, size

    def sown(self, track: Track, index: int, visual: VisualPrompts) -> Track:
        """A track with one more round on a frame, or, with a box or a mask, the first."""
        seed = track.seeds.get(index)
        if visual.box is not None or visual.mask is not None:
            seed = self._follower.plant(track, index, (visual,), None)
        elif seed is not None:
            seed = self._follower.correct(track, index, together(seed.rounds[-1], visual))
        else:
            shown = self._display.shown(track, index)
            corrects = None if shown is None else shown.low
            if corrects is None and takes_away(visual) and not track.empty:
                # Clicks that only take away need something to take from.
                corrects = self._follower.at(track, index).low
            if corrects is not None and takes_away(visual) and track.fuses:
                visual = anchored(visual, corrects, self._size)
            seed = self._follower.plant(track, index, (visual,), corrects)
        return track.with_seed(index, seed)
