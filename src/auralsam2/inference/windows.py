"""Clip windows: how a video of any length and frame rate becomes clips like those the model was trained on.

A window is as long as a training clip: T slots of a second (of 1 / fps seconds below one frame a second). The frames
of a window that have the same rank within their slots lie one slot apart; they are one clip for the fuser, so at 1
frame a second a window is exactly one clip, and at f frames a second it is f clips side by side. The tracker goes
through all frames of the window in the order of time.

At the end of the video the last window is moved back to end with it, so that it is a whole clip too; what it covers a
second time is not given out again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

EXAMPLE_DRIFT = 0.04
"""Seconds by which the sound of a training clip runs ahead from frame to frame: examples come every 0.96 s."""
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class FrameTime:
    """One processed frame in time.

    Attributes:
        index: among the processed frames, from 0.
        instant: the moment it stands for, in seconds.
        slot: number of the slot it lies in, from the start of the processed part.
    """

    index: int
    instant: float
    slot: int


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the video that is processed at once.

    Attributes:
        moments: its frames, in the order of time.
        first_slot: its first slot.
        slots: T, how many slots it has.
        first_new: index of the first frame that no earlier window gave out.
    """

    moments: tuple[FrameTime, ...]
    first_slot: int
    slots: int
    first_new: int

    def clips(self) -> Iterator[tuple[FrameTime, ...]]:
        """The clips for the fuser: clip r holds the r-th frame of each slot.

        A slot with fewer frames lends its last one; an empty slot (a gap in the video) the nearest frame of the window.
        The first clip in which a frame appears is the one whose prompts it takes.
        """
        by_slot: list[list[FrameTime]] = [[] for _ in range(self.slots)]
        for moment in self.moments:
            by_slot[moment.slot - self.first_slot].append(moment)
        for position, members in enumerate(by_slot):
            if not members:
                slot = self.first_slot + position
                members.append(min(self.moments, key=lambda moment: abs(moment.slot - slot)))
        for rank in range(max(map(len, by_slot))):
            yield tuple(members[min(rank, len(members) - 1)] for members in by_slot)


def slot_length(fps: float | None) -> float:
    """Seconds of a slot: one, or the distance of the frames where it is longer. None: every frame of the video."""
    return 1.0 if fps is None else max(1.0, 1.0 / fps)


def slot_of(instant: float, start: float, length: float) -> int:
    """Number of the slot an instant lies in."""
    return max(0, math.floor((instant - start) / length + _ROUNDING))


def sound_begin(moment: FrameTime, window: Window, length: float) -> float:
    """Second at which the sound of a frame begins: half a second before its instant.

    Where slots are seconds, as in training, the sound runs ahead by 0.04 s from slot to slot, so that a window at one
    frame a second hears the examples of the released code: 0.96 i … 0.96 i + 0.975 s.
    """
    drift = EXAMPLE_DRIFT * (moment.slot - window.first_slot) if length == 1.0 else 0.0
    return moment.instant - 0.5 - drift


def windows(moments: Iterable[FrameTime], slots: int) -> Iterator[Window]:
    """Cut a stream of frames into windows; holds the frames of two at most.

    Args:
        moments: in the order of time.
        slots: T.
    """
    before: list[FrameTime] = []
    now: list[FrameTime] = []
    first_slot = 0
    for moment in moments:
        if moment.slot >= first_slot + slots:
            if now:
                yield Window(tuple(now), first_slot, slots, now[0].index)
                before = now
            now = []
            first_slot += slots * ((moment.slot - first_slot) // slots)
        now.append(moment)
    if not now:
        return
    new = now[0].index
    end = now[-1].slot + 1
    used = end - first_slot
    borrowed = [moment for moment in before if moment.slot >= end - slots] if used < slots else []
    if borrowed:
        first_slot, used, now = end - slots, slots, borrowed + now
    yield Window(tuple(now), first_slot, used, new)
