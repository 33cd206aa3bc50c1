"""Decoding of one stream of a media file."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import av
import av.error

from auralsam2.errors import InputError
from auralsam2.media.container import MAX_PIXELS, announced_duration, main_streams, zero_of
from auralsam2.media.packet_clock import PacketClock

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

log = logging.getLogger(__name__)

SEEK_FROM = 20.0
"""Start in seconds from which on a reader seeks; before that, decoding is as fast and always exact."""

_INDEXED = ("mov", "matroska")
"""Formats with an index that makes seeking exact."""
_DECODING_TIMES_ALONE = ("avi", "asf")
"""Formats that store decoding times only. Presentation times from FFmpeg 8 are guesses there."""
_MAX_DELAY = 1.0
"""Seconds by which a discontinuity may follow the packet that it cuts short."""
_MAX_FAILURES = 200
_MAX_REPORTS = 200
"""Moments of damage, and corrections, that a log holds; later ones are not recorded."""
_MAX_JUMP = 10.0


class DamageLog:
    """Damage of a stream and corrections of its time stamps; each is logged once.

    Args:
        path: the file.
        content: `picture` or `sound`.

    Attributes:
        path: the file.
        times: seconds of damage in the order of discovery; damage within a second of the one before counts as the same.
        notes: sentences about corrections.
    """

    def __init__(self, path: Path, content: str) -> None:
        self.times: list[float] = []
        self.notes: list[str] = []
        self.path = path
        self._content = content
        self._last: float | None = None

    def note(self, time: float) -> None:
        """Record damage at `time` seconds; a time before the start counts as the start."""
        time = max(0.0, time)
        if len(self.times) < _MAX_REPORTS and (self._last is None or abs(time - self._last) > 1.0):
            self.times.append(time)
            log.warning("%s: damaged %s at %.2f s, going on", self.path, self._content, time)
        self._last = time

    def correct(self, sentence: str) -> None:
        """Record a correction."""
        if sentence not in self.notes and len(self.notes) < _MAX_REPORTS:
            self.notes.append(sentence)
            log.info("%s: %s", self.path, sentence)


class Decoder:
    """Decoder of the frames of one stream, with their times; a context manager.

    This is the only place that demultiplexes and decodes. PyAV raises `FFmpegError` for damaged data, but also
    IndexError, ValueError, MemoryError and others. All of them count as damage here.

    Decoders must be closed before they are freed. PyAV frees a codec context while it holds the GIL, and FFmpeg then
    waits for its frame threads. Once `av.logging.set_level` has been called, as older versions of torchvision do when
    they are imported, a frame thread that logs waits for the GIL, so both wait for ever. `close` flushes the codec,
    which waits for the frame threads without the GIL. Freeing an idle codec cannot block. Changing the log level
    instead would affect the whole process, and fail when another thread sets it during decoding.

    Args:
        container: an open container.
        stream: the stream to decode.
        damage: receives damage and corrections.
        live: the source has no end, so that no time stamp lies beyond it.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream | AudioStream, damage: DamageLog, *, live: bool = False
    ) -> None:
        self._container = container
        self._stream = stream
        self._damage = damage
        self.zero = zero_of(container)
        self._limit = math.inf if live else announced_duration(container) + _MAX_JUMP
        self._last = 0.0
        self._codec: Any = stream.codec_context
        self._codec.thread_type = "AUTO"
        self._codec.options = {"max_pixels": str(MAX_PIXELS)}
        self._clock = PacketClock(container, damage.correct) if PacketClock.applies_to(container) else None
        decoding_times = stream.type == "video" and container.format.name.startswith(_DECODING_TIMES_ALONE)
        self._times = _FrameTimes(damage, decoding_times=decoding_times)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the threads of the codec."""
        self._codec.flush_buffers()

    def seek(self, time: float) -> bool:
        """Move to the key frame before `time` seconds, if the format has an index that makes this exact."""
        if time < SEEK_FROM or not self._container.format.name.startswith(_INDEXED):
            return False
        try:
            self._container.seek(int((time + float(self.zero)) * av.time_base), backward=True)
        except Exception:
            return False
        return True

    def frames(self) -> Iterator[tuple[float | None, Any]]:
        """Yield (time, frame); time in seconds from the start of the presentation, None where the file gives none.

        `frame.pts` is the time stamp that the time follows from.

        Packets that do not decode are noted as damage and skipped.

        Raises:
            InputError: the stream is encrypted.
        """
        for packet in self.packets():
            yield from self.decode(packet)

    def decode(self, packet: Any) -> Iterator[tuple[float | None, Any]]:
        """Yield the frames that the next packet of the stream completes; see `frames`."""
        if packet.has_sidedata("encryption_info"):
            raise InputError(f"{self._damage.path}: is encrypted: give a file without protection")
        time = self.seconds(packet.pts if packet.pts is not None else packet.dts)
        if packet.is_corrupt:
            self._damage.note(self._last if time is None else time)
        for frame in self._decode(packet, time):
            frame.pts = self._times.ticks(frame)
            moment = self.seconds(frame.pts)
            if moment is not None and moment > max(self._limit, self._last + _MAX_JUMP):
                moment = None  # a damaged time stamp: the frame follows the one before
            if moment is not None:
                self._last = moment
            if frame.is_corrupt:
                self._damage.note(self._last)
            yield moment, frame

    def seconds(self, ticks: int | None) -> float | None:
        """Convert a time stamp of the stream to seconds from the start of the presentation."""
        time_base = self._stream.time_base
        return None if ticks is None or time_base is None else float(ticks * time_base - self.zero)

    def _decode(self, packet: Any, time: float | None) -> list[Any]:
        flush = packet.size == 0
        for _ in range(_MAX_FAILURES if flush else 1):
            try:
                return packet.decode()
            except av.error.EOFError:
                return []
            except Exception:
                self._damage.note(self._last if time is None else time)
        return []

    def packets(self) -> Iterator[Any]:
        """Yield the packets of the stream, last the empty one that flushes the decoder."""
        if self._clock is None:
            yield from demux(self._container, [self._stream], self._fail)
            return
        corrupt: list[float] = []  # not yet reported
        for packet in demux(self._container, main_streams(self._container), self._fail):
            self._clock.correct(packet)
            if self._clock.jumped:
                corrupt.clear()  # the break in the counters of MPEG-TS at a discontinuity
            if packet.stream_index != self._stream.index:
                continue
            time = self.seconds(packet.dts)
            while corrupt and (time is None or time > corrupt[0] + _MAX_DELAY):
                self._damage.note(corrupt.pop(0))
            if packet.is_corrupt and time is not None:
                packet.is_corrupt = False
                corrupt.append(time)
            yield packet
        for time in corrupt:
            self._damage.note(time)

    def _fail(self) -> None:
        self._damage.note(self._last)


def demux(
    container: InputContainer, streams: Sequence[VideoStream | AudioStream], fail: Callable[[], None]
) -> Iterator[Any]:
    """Yield the packets of some streams; reading continues after an error, which is reported by a call of `fail`."""
    failures = 0
    while failures < _MAX_FAILURES:
        try:
            for packet in container.demux(streams):
                failures = 0
                yield packet
            return
        except av.error.EOFError:
            return
        except Exception:
            fail()
            failures += 1


class _FrameTimes:
    """The more plausible of the two time stamps of each decoded frame.

    FFmpeg's rule for `best_effort_timestamp`: presentation times count until they have failed to rise more often than
    the decoding times that the codec passes through.

    Args:
        damage: receives a note when the decoding times take over.
        decoding_times: use decoding times alone.
    """

    def __init__(self, damage: DamageLog, *, decoding_times: bool) -> None:
        self._damage = damage
        self._decoding_times = decoding_times
        self._presentation, self._decoding = _Sequence(), _Sequence()

    def ticks(self, frame: Any) -> int | None:
        """The time stamp of the next frame in units of its stream."""
        pts, dts = frame.pts, frame.dts
        if self._decoding_times:
            return dts
        self._presentation.add(pts, dts)
        self._decoding.add(dts, pts)
        if pts is None or dts is None:
            return dts if pts is None else pts
        if self._presentation.faults > self._decoding.faults:
            self._damage.correct("presentation times out of order: decoding times used")
            return dts
        return pts


class _Sequence:
    """Time stamps that should rise."""

    def __init__(self) -> None:
        self.faults = 0
        self._last: int | None = None

    def add(self, ticks: int | None, substitute: int | None) -> None:
        """Count the next time stamp as a fault if it does not rise; a missing one is replaced by the other kind."""
        if ticks is not None and self._last is not None:
            self.faults += ticks <= self._last
        self._last = ticks if ticks is not None else substitute if substitute is not None else self._last
