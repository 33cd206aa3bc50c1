"""Clip windows: division of a video of any length and frame rate into clips of the training length.

A window is as long as a training clip: T slots of one second each, or of 1 / fps seconds below one frame per second.
Frames with the same rank within their slots are one slot apart and form one clip for the fuser. At 1 frame per second,
a window is one clip; at f frames per second, it consists of f interleaved clips. The tracker processes all frames of a
window in the order of time.

The last window of a video is moved back so that it ends with the video and is a whole clip. It does not yield again the
frames that it shares with the window before it.

For a short latency, the windows of a live source overlap: each ends a step of some slots after the one before, has the
same length, and yields the frames of its step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
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

    @property
    def span(self) -> tuple[int, int]:
        """First slot and number of slots."""
        return self.first_slot, self.slots

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


def windows(
    moments: Iterable[FrameTime],
    slots: int,
    step: int | None = None,
    next_slot: Callable[[FrameTime], int] | None = None,
) -> Iterator[Window]:
    """Divide frames into windows, lazily; buffers the frames of at most two windows.

    Args:
        moments: frames in the order of time.
        slots: T, slots of a window.
        step: slots from one window to the next, at most T; None for T, windows that do not overlap.
        next_slot: returns the earliest slot of the frame after a given one, with which a window is complete at its last
            frame; None for windows that are complete at the first frame after them.
    """
    step = step or slots
    earlier: list[FrameTime] = []
    current: list[FrameTime] = []
    first_slot = 0  # of the step
    for moment in moments:
        if current and moment.slot >= first_slot + step:
            yield _window(earlier, current, first_slot, first_slot + step, slots)
            earlier, current = _overlapping(earlier, current, first_slot + step - slots), []
        if moment.slot >= first_slot + step:
            first_slot += step * ((moment.slot - first_slot) // step)
        current.append(moment)
        if next_slot is not None and next_slot(moment) >= first_slot + step:
            yield _window(earlier, current, first_slot, first_slot + step, slots)
            earlier, current = _overlapping(earlier, current, first_slot + step - slots), []
    if current:
        yield _window(earlier, current, first_slot, current[-1].slot + 1, slots)


def _overlapping(earlier: Sequence[FrameTime], current: Sequence[FrameTime], slot: int) -> list[FrameTime]:
    """Return the frames after a slot, which later windows may contain."""
    return [moment for moment in (*earlier, *current) if moment.slot > slot]


def _window(
    earlier: Sequence[FrameTime], current: Sequence[FrameTime], first_slot: int, end: int, slots: int
) -> Window:
    """Return the window that ends before slot `end` and yields the frames of `current`, from `first_slot` on."""
    begin = min(first_slot, max(0, end - slots))
    overlap = [moment for moment in earlier if moment.slot >= begin]
    if not overlap:
        begin = first_slot
    return Window((*overlap, *current), begin, end - begin, current[0].index)
