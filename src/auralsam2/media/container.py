"""Opening of media files, their streams and their announced lengths."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
from av.format import Flags
from av.stream import Disposition

from auralsam2.errors import InputError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

MAX_PIXELS = 8192 * 8192
"""Pixels of the largest picture that is decoded: more is a damaged header, and would take gigabytes."""

_NOT_MEDIA = frozenset({"tty", "bin", "xbin", "adf", "idf", "lavfi", "concat", "hls", "dash", "sdp"})
"""Formats that turn text into pictures or lead to other files."""

_TOLERANT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
"""PyAV 18 refuses metadata that is not UTF-8 unless told otherwise; PyAV 19 always accepts it."""

_MAX_RATE = 1000
"""Frames per second above which an announced rate is that of a clock."""
_KNOWS_LENGTH = ("mov", "matroska", "avi", "wav", "flac", "ogg", "flv", "asf")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/")
"""Start of a URL; `Path` leaves one slash of two."""
_MATROSKA_DURATION = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


def open_input(path: Path) -> InputContainer:
    """Open a media file for reading.

    Raises:
        InputError: missing, a directory, not readable, empty, or nothing that FFmpeg knows as media.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory, give a video file")
        if not path.exists():
            raise InputError(f"{path}: {_absence(path)}")
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
    if container.format.name == "webp_pipe" and _is_animated(path):
        container.close()
        raise InputError(f"{path}: animated WebP cannot be read: convert it to GIF or MP4")
    return container


def _absence(path: Path) -> str:
    """Explain why a name is not that of a file."""
    if str(path) == "-":
        return "standard input cannot be read: give a file"
    if _ADDRESS.match(str(path)):
        return "is an address, not a file: download it first"
    return "no such file"


def _is_animated(path: Path) -> bool:
    """Whether the header of a WebP file announces an animation."""
    with path.open("rb") as file:
        header = file.read(21)
    return header[12:16] == b"VP8X" and len(header) == 21 and bool(header[20] & 2)


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split())


def video_stream(container: InputContainer) -> VideoStream | None:
    """The main picture stream, None without one; cover art is no video."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic and is_decodable(stream):
            return stream
    return None


def main_streams(container: InputContainer) -> list[VideoStream | AudioStream]:
    """The main picture stream and all sound streams."""
    video = video_stream(container)
    return [*([] if video is None else [video]), *filter(is_decodable, container.streams.audio)]


def is_decodable(stream: Any) -> bool:
    """Whether FFmpeg has a decoder for a stream and the file gives its unit of time."""
    return stream.codec_context is not None and bool(stream.time_base)


def positive(value: Any) -> Fraction | None:
    """A rate or ratio of PyAV as a fraction; None where it is unknown or not above 0.

    PyAV 18 writes None for unknown; PyAV 19 writes 0/1 or n/0.
    """
    return Fraction(value.numerator, value.denominator) if value and value > 0 else None


def frame_rate(stream: VideoStream) -> Fraction | None:
    """Frames per second by the file, None where unknown; raw DV gives its clock as the average."""
    rates = (positive(stream.average_rate), positive(stream.guessed_rate))
    return next((rate for rate in rates if rate is not None and rate <= _MAX_RATE), None)


def zero_of(container: InputContainer) -> Fraction:
    """Where the presentation starts on the clock of the container, in seconds.

    A negative start is the run-in of a sound codec, which is not presented, unless the pictures themselves start there
    or the clock of the format may wrap.
    """
    zero = Fraction(container.start_time or 0, av.time_base)
    if zero >= 0 or container.format.flags & Flags.ts_discont.value:
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
    tag = _MATROSKA_DURATION.fullmatch(stream.metadata.get("DURATION", ""))
    if tag is not None:
        hours, minutes, seconds = (float(part) for part in tag.groups())
        return hours * 3600 + minutes * 60 + seconds - float(zero_of(container))
    # FFmpeg gives streams of Matroska that it could not measure the length of the whole file.
    if stream.duration and stream.time_base and not container.format.name.startswith("matroska"):
        begin = (stream.start_time or 0) * stream.time_base - zero_of(container)
        return float(begin + stream.duration * stream.time_base)
    return announced_duration(container) if len(container.streams) == 1 else 0.0
