"""Opening a media file and drawing frames from one of its streams, whatever state the file is in."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import av
import av.error
from av.stream import Disposition

from auralsam2.errors import InputError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

log = logging.getLogger(__name__)

MAX_PIXELS = 8192 * 8192
"""Pixels of the largest picture that is decoded: more is a damaged header, and would take gigabytes."""

SEEK_FROM = 20.0
"""Seconds from which on a late start is reached by seeking; before that, decoding is as fast and always exact."""

_NOT_MEDIA = frozenset({"tty", "bin", "xbin", "adf", "idf", "lavfi", "concat", "hls", "dash", "sdp"})
"""Formats that turn text into pictures or lead to other files."""

_TOLERANT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
"""PyAV 18 refuses metadata that is not UTF-8 unless told otherwise; PyAV 19 always accepts it."""

_INDEXED = ("mov", "matroska")
_KNOWS_LENGTH = ("mov", "matroska", "avi", "wav", "flac", "ogg", "flv", "asf")
_MATROSKA_DURATION = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_MAX_FAILURES = 200
_MAX_JUMP = 10.0


class DamageLog:
    """The moments at which a file turned out damaged; each is logged once.

    Attributes:
        times: seconds, in the order of discovery; damage within a second of the one before counts as the same.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.times: list[float] = []
        self._path = path
        self._what = what
        self._last: float | None = None

    def note(self, time: float) -> None:
        """Record damage at `time` seconds; what lies before the start counts as at the start."""
        time = max(0.0, time)
        if self._last is None or abs(time - self._last) > 1.0:
            self.times.append(time)
            log.warning("%s: damaged %s at %.2f s, going on", self._path, self._what, time)
        self._last = time


def open_input(path: Path) -> InputContainer:
    """Open a media file for reading.

    Raises:
        InputError: missing, a directory, not readable, empty, or nothing that FFmpeg knows as media.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory, give a video file")
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if not path.is_file():
            raise InputError(f"{path}: not a regular file, give a video file")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{path}: cannot be read ({_reason(error)})") from error
    try:
        container = av.open(
            f"file:{path}",
            mode="r",
            options={"max_pixels": str(MAX_PIXELS), "protocol_whitelist": "file"},
            **_TOLERANT,
        )
    except av.error.PermissionError as error:
        raise InputError(f"{path}: no permission to read it") from error
    except (
        Exception
    ) as error:  # PyAV raises FFmpegError, and ValueError, IndexError or MemoryError from damaged headers
        raise InputError(f"{path}: not a video or sound file, or damaged beyond repair ({_reason(error)})") from error
    if not _NOT_MEDIA.isdisjoint(container.format.name.split(",")):
        container.close()
        raise InputError(f"{path}: not a video or sound file")
    return container


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split())


def video_stream(container: InputContainer) -> VideoStream | None:
    """The main picture stream, None without one; cover art is no video."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic and _decodable(stream):
            return stream
    return None


def audio_stream(container: InputContainer) -> AudioStream | None:
    """The first sound stream, None without one."""
    return next((stream for stream in container.streams.audio if _decodable(stream)), None)


def _decodable(stream: Any) -> bool:
    """Whether FFmpeg has a decoder for a stream and the file gives its unit of time."""
    return stream.codec_context is not None and bool(stream.time_base)


def positive(value: Any) -> Fraction | None:
    """A rate or ratio of PyAV as a fraction; None where it is unknown or not above 0.

    PyAV 18 writes None for unknown; PyAV 19 writes 0/1 or n/0.
    """
    return Fraction(value.numerator, value.denominator) if value and value > 0 else None


def zero_of(container: InputContainer) -> Fraction:
    """Where the presentation starts on the clock of the container, in seconds.

    A negative start is the run-in of a sound codec, which is not presented, unless the pictures themselves start there.
    """
    zero = Fraction(container.start_time or 0, av.time_base)
    if zero >= 0:
        return zero
    video = video_stream(container)
    if video is None or video.start_time is None or video.time_base is None:
        return zero if video is None else Fraction(0)
    return min(Fraction(0), video.start_time * video.time_base)


def announced_duration(container: InputContainer) -> float:
    """Seconds of the longest stream as announced by the file, 0.0 where unknown."""
    seconds = [(container.duration or 0) / av.time_base]
    for stream in (*container.streams.video, *container.streams.audio):
        if stream.duration and stream.time_base:
            seconds.append(float(stream.duration * stream.time_base))
    # A damaged header can announce centuries.
    return max((value for value in seconds if 0 < value < 1e7), default=0.0)


def announced_end(container: InputContainer, stream: VideoStream | AudioStream) -> float:
    """The second at which a stream should end by the word of the file, 0.0 where it says nothing reliable of it."""
    if not container.format.name.startswith(_KNOWS_LENGTH):
        return 0.0  # FFmpeg guesses the length from the bit rate
    if stream.duration and stream.time_base:
        begin = (stream.start_time or 0) * stream.time_base - zero_of(container)
        return float(begin + stream.duration * stream.time_base)
    tag = _MATROSKA_DURATION.fullmatch(stream.metadata.get("DURATION", ""))
    if tag is not None:
        hours, minutes, seconds = (float(part) for part in tag.groups())
        return hours * 3600 + minutes * 60 + seconds - float(zero_of(container))
    return announced_duration(container) if len(container.streams) == 1 else 0.0


def sound_end(container: InputContainer) -> float | None:
    """Second at which the first sound stream ends, estimated by FFmpeg if need be; None where it is unknown."""
    stream = audio_stream(container)
    if stream is None:
        return None
    if stream.duration and stream.time_base:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base - zero_of(container))
    return announced_end(container, stream) or None


class Decoder:
    """Decodes the frames of one stream with their times and corrects damaged ones; a context manager.

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
        damage: takes the moments of damage.
    """

    def __init__(self, container: InputContainer, stream: VideoStream | AudioStream, damage: DamageLog) -> None:
        self._container = container
        self._stream = stream
        self._damage = damage
        self.zero = zero_of(container)
        self._limit = announced_duration(container) + _MAX_JUMP
        self._last = 0.0
        self._codec: Any = stream.codec_context
        self._codec.thread_type = "AUTO"
        self._codec.options = {"max_pixels": str(MAX_PIXELS)}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the threads of the codec."""
        self._codec.flush_buffers()

    def seek(self, time: float) -> bool:
        """Move to the key frame before `time` seconds, if the format keeps an index that makes this exact."""
        if time < SEEK_FROM or not self._container.format.name.startswith(_INDEXED):
            return False
        try:
            self._container.seek(int((time + float(self.zero)) * av.time_base), backward=True)
        except Exception:
            return False
        return True

    def frames(self) -> Iterator[tuple[float | None, Any]]:
        """Yield (time, frame); time in seconds from the start of the presentation, None where the file gives none.

        Packets that do not decode are noted as damage and skipped.
        """
        for packet in self.packets():
            time = self.seconds(packet.pts if packet.pts is not None else packet.dts)
            if packet.is_corrupt:
                self._damage.note(self._last if time is None else time)
            for frame in self._decode(packet, time):
                moment = self.seconds(frame.pts)
                if moment is not None and moment > max(self._limit, self._last + _MAX_JUMP):
                    moment = None  # a damaged time stamp: the frame follows the one before
                if moment is not None:
                    self._last = moment
                if frame.is_corrupt:
                    self._damage.note(self._last)
                yield moment, frame

    def seconds(self, ticks: int | None) -> float | None:
        """A time stamp of the stream as seconds from the start of the presentation."""
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
        failures = 0
        while True:
            try:
                for packet in self._container.demux(self._stream):
                    failures = 0
                    yield packet
                return
            except av.error.EOFError:
                return
            except Exception:
                self._damage.note(self._last)
                failures += 1
                if failures >= _MAX_FAILURES:
                    return
