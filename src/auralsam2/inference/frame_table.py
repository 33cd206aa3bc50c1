"""Times and numbers of the processed frames that were read."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable

from auralsam2.types import Frame

_NO_STAMP = -(2**63)


class FrameTable:
    """Times and numbers by index, 56 bytes a frame. Entries of early frames can be dropped; indices do not change."""

    def __init__(self) -> None:
        self._times, self._instants = array("d"), array("d")
        self._begins, self._ends = array("d"), array("d")  # of the slots
        self._numbers, self._stamps = array("q"), array("q")  # in the file; -1 and _NO_STAMP for unknown ones
        self._firsts = array("q")  # index of the first frame that shows the same image
        self._dropped = 0

    def __len__(self) -> int:
        """Number of frames that were read, with the dropped ones."""
        return self._dropped + len(self._times)

    def append(self, frame: Frame) -> None:
        """Add the next frame."""
        repeated = bool(self._times) and self._times[-1] == frame.time
        self._firsts.append(self._firsts[-1] if repeated else len(self))
        self._times.append(frame.time)
        self._instants.append(frame.instant)
        self._begins.append(frame.slot[0])
        self._ends.append(frame.slot[1])
        self._numbers.append(-1 if frame.source_index is None else frame.source_index)
        self._stamps.append(_NO_STAMP if frame.pts is None else frame.pts)

    def drop_before(self, index: int) -> None:
        """Drop the entries of the frames before one."""
        count = index - self._dropped
        if count > 0:
            for column in (
                *(self._times, self._instants, self._begins, self._ends),
                *(self._numbers, self._stamps, self._firsts),
            ):
                del column[:count]
            self._dropped = index

    def time(self, index: int) -> float:
        """Return the presentation time of a frame in seconds."""
        return self._times[index - self._dropped]

    def instant(self, index: int) -> float:
        """Return the instant that a frame represents, in seconds."""
        return self._instants[index - self._dropped]

    def slot(self, index: int) -> tuple[float, float]:
        """Return begin and end of the part that a frame represents, in seconds."""
        row = index - self._dropped
        return self._begins[row], self._ends[row]

    def source_index(self, index: int) -> int | None:
        """Return the number of a frame's picture in the file; None if unknown."""
        number = self._numbers[index - self._dropped]
        return None if number < 0 else number

    def pts(self, index: int) -> int | None:
        """Return the time stamp of a frame's picture; None if unknown."""
        stamp = self._stamps[index - self._dropped]
        return None if stamp == _NO_STAMP else stamp

    def first_with_image(self, index: int) -> int:
        """Return the index of the first frame that shows the same image."""
        return self._firsts[index - self._dropped]

    def first_at(self, value: float, key: Callable[[float], float] = float) -> int:
        """Return the index of the first frame whose `key(instant)` is a value or more."""
        return self._dropped + bisect_left(self._instants, value, key=key)

    def reaches(self, time: float) -> bool:
        """Whether the last frame represents a time, in seconds, or a later one."""
        return bool(self._instants) and self._instants[-1] >= time

    def nearest(self, time: float) -> int:
        """Return the index of the frame whose instant is nearest to a time in seconds."""
        right = self.first_at(time)
        around = [index for index in (right - 1, right) if self._dropped <= index < len(self)]
        return min(around, key=lambda index: abs(self.instant(index) - time))
