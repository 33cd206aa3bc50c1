"""Clip windows: division of a video of any length and frame rate into clips of the training length.

A window is as long as a training clip: T slots of one second each, or of 1 / fps seconds below one frame per second.
Frames with the same rank within their slots are one slot apart and form one clip for the fuser. At 1 frame per second,
a window is one clip; at f frames per second, it consists of f interleaved clips. The tracker processes all frames of a
window in the order of time.

The last window of a video is moved back so that it ends with the video and is a whole clip. It does not yield again the
frames that it shares with the window before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

EXAMPLE_DRIFT = 0.04
"""Drift of the audio against the frames of a training clip, in seconds per frame: examples begin every 0.96 s."""
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class FrameTime:
    """Position of one processed frame in time.

    Attributes:
        index: among the processed frames, from 0.
        instant: time that the frame represents, in seconds.
        slot: number of its slot, counted from the start of the processed part.
    """

    index: int
    instant: float
    slot: int


@dataclass(frozen=True, slots=True)
class Window:
    """Successive frames that are fused and tracked together.

    Attributes:
        moments: frames of the window, in the order of time.
        first_slot: number of its first slot.
        slots: T, its number of slots.
        first_new: index of the first frame that no earlier window yields.
    """

    moments: tuple[FrameTime, ...]
    first_slot: int
    slots: int
    first_new: int

    def clips(self) -> Iterator[tuple[FrameTime, ...]]:
        """Yield the clips for the fuser: clip r contains the r-th frame of each slot.

        A slot with fewer frames repeats its last one. An empty slot (a gap in the video) repeats the nearest frame of
        the window. A frame uses the feature prompts of the first clip that contains it.
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
    """Return the length of a slot in seconds: 1, or 1 / fps if this is longer; `fps` None means every frame."""
    return 1.0 if fps is None else max(1.0, 1.0 / fps)


def slot_of(instant: float, start: float, length: float) -> int:
    """Return the number of the slot of an instant."""
    return max(0, math.floor((instant - start) / length + _ROUNDING))


def sound_begin(moment: FrameTime, window: Window, length: float) -> float:
    """Return the start of the audio of a frame in seconds: half a second before its instant.

    With slots of one second, as in training, the audio drifts by 0.04 s per slot. At one frame per second, a window
    then has the examples of the released code: 0.96 i … 0.96 i + 0.975 s.
    """
    drift = EXAMPLE_DRIFT * (moment.slot - window.first_slot) if length == 1.0 else 0.0
    return moment.instant - 0.5 - drift


def windows(moments: Iterable[FrameTime], slots: int) -> Iterator[Window]:
    """Divide frames into windows, lazily; buffers the frames of at most two windows.

    Args:
        moments: frames in the order of time.
        slots: T, slots of a window.
    """
    previous: list[FrameTime] = []
    current: list[FrameTime] = []
    first_slot = 0
    for moment in moments:
        if moment.slot >= first_slot + slots:
            if current:
                yield Window(tuple(current), first_slot, slots, current[0].index)
                previous = current
            current = []
            first_slot += slots * ((moment.slot - first_slot) // slots)
        current.append(moment)
    if not current:
        return
    first_new = current[0].index
    end = current[-1].slot + 1
    length = end - first_slot
    overlap = [moment for moment in previous if moment.slot >= end - slots] if length < slots else []
    if overlap:
        first_slot, length, current = end - slots, slots, overlap + current
    yield Window(tuple(current), first_slot, length, first_new)
