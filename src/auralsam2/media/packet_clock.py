"""The clock of a container, continued over jumps and restarts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import av
from av.format import Flags

if TYPE_CHECKING:
    from av.container import InputContainer

_TICKS = av.time_base
"""Units of the clock per second."""
_MAX_JUMP = 10 * _TICKS
"""Largest step of the clock that counts as a pause of the material."""
_MAX_STEP_BACK = _TICKS // 10
"""Largest step backwards that the multiplexer may make within a stream."""


class PacketClock:
    """Corrects the time stamps of packets where the clock of the container jumps or restarts.

    MPEG-TS, MPEG-PS and Ogg define such discontinuities: recordings are joined, or a broadcast clock is reset. A packet
    whose decoding time is more than 10 s from the expected one, or more than 0.1 s before it, moves the clock of all
    streams, so that the material continues without a gap. These are the rules and the limits of the `ffmpeg` command.

    Args:
        container: the open container.
        note: receives a sentence for each discontinuity.

    Attributes:
        jumped: whether the clock moved at the latest packet.
    """

    def __init__(self, container: InputContainer, note: Callable[[str], None]) -> None:
        self.jumped = False
        self._note = note
        self._offset = 0
        self._expected: dict[int, int] = {}
        self._reached = container.start_time
        self._zero = container.start_time or 0

    @staticmethod
    def applies_to(container: InputContainer) -> bool:
        """Whether the format defines discontinuities."""
        return bool(container.format.flags & Flags.ts_discont.value)

    @property
    def duration(self) -> float:
        """Seconds from the start to the end of the latest packet of the longest stream."""
        return (max(self._expected.values(), default=self._zero) - self._zero) / _TICKS

    def correct(self, packet: Any) -> None:
        """Correct the time stamps of the next packet of the file in place."""
        self.jumped = False
        if packet.time_base is None:
            return
        tick = packet.time_base * _TICKS
        if packet.dts is not None:
            time = round(packet.dts * tick) + self._offset
            expected = self._expected.get(packet.stream_index)
            target = self._reached if expected is None else expected
            if target is not None and (
                abs(time - target) > _MAX_JUMP or (expected is not None and time + _MAX_STEP_BACK < expected)
            ):
                self.jumped = True
                self._report(time - target, target)
                self._offset -= time - target
                time = target
            self._expected[packet.stream_index] = time + round((packet.duration or 0) * tick)
            self._reached = time
            if packet.pts is not None and abs(packet.pts - packet.dts) * tick > _MAX_JUMP:
                packet.pts = packet.dts  # one of the two is of another part
        shift = round(self._offset / tick)
        if shift:
            packet.dts = None if packet.dts is None else packet.dts + shift
            packet.pts = None if packet.pts is None else packet.pts + shift

    def _report(self, jump: int, target: int) -> None:
        """Describe a discontinuity; the jump is that of the file, apart from earlier corrections."""
        step = f"{abs(jump) / _TICKS:.1f} s {'ahead' if jump > 0 else 'back'}"
        second = max(0, target - self._zero) / _TICKS
        self._note(f"the clock of the file jumps {step} at {second:.1f} s: continued without a gap")
