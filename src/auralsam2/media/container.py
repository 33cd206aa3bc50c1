"""Opening a media file and drawing frames from one of its streams, whatever state the file is in."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
        container = av.open(
            f"file:{path}",
            mode="r",
            metadata_errors="replace",
            options={"max_pixels": str(MAX_PIXELS), "protocol_whitelist": "file"},
        )
    except av.error.PermissionError as error:
        raise InputError(f"{path}: no permission to read it") from error
    except av.error.FFmpegError as error:
        raise InputError(f"{path}: not a video or sound file, or damaged beyond repair ({_reason(error)})") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{path}: cannot be read ({_reason(error)})") from error
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
    return stream.codec_context is not None and bool(stream.time_base)


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


class Decoder:
    """Draws the frames of one stream with their times, mending what damage did to both.

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
        stream.codec_context.thread_type = "AUTO"
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}

    def seek(self, time: float) -> bool:
        """Move to the key frame before `time` seconds, if the format keeps an index that makes this exact."""
        if time < SEEK_FROM or not self._container.format.name.startswith(_INDEXED):
            return False
        try:
            self._container.seek(int((time + float(self.zero)) * av.time_base), backward=True)
        except av.error.FFmpegError:
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
            except (av.error.FFmpegError, MemoryError):
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
            except (av.error.FFmpegError, MemoryError):
                self._damage.note(self._last)
                failures += 1
                if failures >= _MAX_FAILURES:
                    return
