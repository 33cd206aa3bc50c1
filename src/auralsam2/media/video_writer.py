"""Video files with pictures at exact times and the audio of another file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import av
import av.error
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter

from auralsam2.errors import OutputError
from auralsam2.media.audio_choice import AudioChoice
from auralsam2.media.audio_mux import mux_audio
from auralsam2.media.encodings import H264, VideoEncoding
from auralsam2.media.write_error import write_error

_TICKS = 90_000
"""Least time resolution, in ticks per second."""
_LONE_SECONDS = 1.0


class VideoWriter:
    """Context manager that writes a video picture by picture.

    The file appears at `path` when the writer closes without an error. Until then it grows under a hidden name in the
    same folder, which is removed after an error. With an encoding that is written in place, it grows at `path`, and
    stays after an error. For codecs that need even sizes, pictures of odd size get one more row
    or column, a copy of the last.

    Args:
        path: the file to write, replaced if it exists.
        audio_from: a file whose audio is added; None for a silent video.
        start: the second of the source that is 0 in the video.
        end: the second of the source at which the video ends; None where pictures and audio end.
        pictures_end: the second of the source at which the last picture ends, where it is known.
        audio_track: number or language of the audio track of `audio_from`; None for the default one.
        encoding: container and codecs.
        rate: pictures per second of the source, whose times are then exact; 0 for 90,000 ticks per second.

    Raises:
        OutputError: the file cannot be written.
        InputError: `audio_from` cannot be opened or has no audio track.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        audio_from: Path | None,
        start: float = 0.0,
        end: float | None = None,
        pictures_end: float | None = None,
        audio_track: AudioChoice = None,
        encoding: VideoEncoding = H264,
        rate: float = 0.0,
    ) -> None:
        self._path = Path(path)
        self._encoding = encoding
        frames = Fraction(rate).limit_denominator(1001)
        self._ticks = _ticks(frames)
        self._start = start
        self._ends = [second for second in (end, pictures_end) if second is not None]
        hidden = self._path.with_name(f".{self._path.name}.{uuid4().hex[:8]}.part")
        self._part = self._path if encoding.in_place else hidden
        self._held: tuple[np.ndarray, int] | None = None  # the last picture and its ticks, not yet encoded
        self._reformatter = VideoReformatter()
        self._until: float | None = None
        self._gap: int | None = None
        self._shape: tuple[int, ...] | None = None
        self._durations: dict[int, int] = {}
        self._sound: Iterator[tuple[float, Any]] = iter(())
        self._closed = False
        with self._writing():
            self._part.touch(exist_ok=False)
            options = dict(encoding.muxer_options)
            if encoding.muxer in ("mp4", "mov"):
                # A late first picture keeps its exact time.
                options |= {"movie_timescale": str(self._ticks)}
            self._container = av.open(f"file:{self._part}", mode="w", format=encoding.muxer, options=options)
        try:
            with self._writing():
                self._stream: Any = self._container.add_stream(
                    encoding.encoder, rate=frames or 25, options=dict(encoding.options)
                )
                self._stream.metadata.update(encoding.metadata)
            if audio_from is not None:
                self._sound = mux_audio(self._container, audio_from, start, end, audio_track, encoding.audio)
        except BaseException:
            self._abandon()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._abandon()

    def write(self, image: np.ndarray, time: float, until: float | None = None) -> None:
        """Add a picture, shown from `time` until the next, the last one as long as the one before or `until`.

        Args:
            image: (H, W, 3) uint8 RGB, or (H, W, 4) RGBA with straight alpha for an encoding with alpha; all of one
                size; must not change afterwards.
            time: second of the source; a time before `start` becomes `start`. A picture at the time of the previous one
                replaces it.
            until: second of the source at which the picture ends, if it is the last one.

        Raises:
            OutputError: the file cannot be written.
            InputError: the sound cannot be read.
            ValueError: another shape or type, or a time before that of the last picture.
        """
        channels = 4 if self._encoding.alpha else 3
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != channels or 0 in image.shape:
            raise ValueError(f"image of {image.dtype} {image.shape}: give (H, W, {channels}) uint8")
        if self._shape is not None and image.shape != self._shape:
            raise ValueError(f"image of shape {image.shape} after images of shape {self._shape}")
        ticks = max(0, round((time - self._start) * self._ticks))
        held = self._held
        if held is not None and ticks < held[1]:
            raise ValueError(f"picture at {time:g} s comes after a later one")
        with self._writing():
            if self._shape is None:
                self._shape = image.shape
                self._configure(image)
            if held is not None and ticks > held[1]:
                self._gap = ticks - held[1]
                self._encode(*held, self._gap)
            self._held = (image, ticks)
            self._until = until

    def close(self) -> None:
        """Finish the file and move it to its place.

        Raises:
            OutputError: the file cannot be written, or no picture came.
            InputError: the sound cannot be read.
        """
        if self._closed:
            return
        try:
            if self._held is None:
                raise OutputError(f"{self._path}: no picture to write, choose a part of the video that has some")
            with self._writing():
                self._encode(*self._held, self._last_duration(self._held[1]))
                self._mux(self._stream.encode(None))
                for _, packet in self._sound:
                    self._container.mux(packet)
                self._container.close()
                self._part.replace(self._path)
        except BaseException:
            self._abandon()
            raise
        self._closed = True

    def _configure(self, image: np.ndarray) -> None:
        context = self._stream.codec_context
        context.height, context.width = (size + self._margin(size) for size in image.shape[:2])
        context.pix_fmt = self._encoding.pixels
        context.time_base = Fraction(1, self._ticks)
        context.color_range = ColorRange.MPEG
        context.colorspace = Colorspace.ITU709
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        self._stream.time_base = Fraction(1, self._ticks)

    def _margin(self, size: int) -> int:
        """Rows or columns that a size needs to be even."""
        return size % 2 if self._encoding.even else 0

    def _last_duration(self, ticks: int) -> int:
        """Ticks for which the last picture stays, not beyond an end."""
        duration = self._gap or round(_LONE_SECONDS * self._ticks)
        if self._until is not None:
            duration = max(1, round((self._until - self._start) * self._ticks) - ticks)
        left = [round((second - self._start) * self._ticks) - ticks for second in self._ends]
        # An end before the picture is a wrong announcement.
        return min([duration, *(ticks_left for ticks_left in left if ticks_left > 0)])

    def _encode(self, image: np.ndarray, ticks: int, duration: int) -> None:
        bottom, right = (self._margin(size) for size in image.shape[:2])
        padded = np.pad(image, ((0, bottom), (0, right), (0, 0)), mode="edge")
        frame = self._reformatter.reformat(
            VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgba" if self._encoding.alpha else "rgb24"),
            format=self._encoding.pixels,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        frame.pts = ticks
        frame.time_base = Fraction(1, self._ticks)
        self._durations[ticks] = duration
        self._mux(self._stream.encode(frame))

    def _mux(self, packets: list[Any]) -> None:
        """Write pictures, and the sound that belongs before them, so that neither has to wait in memory."""
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts)
            until = (packet.pts + packet.duration) / self._ticks
            self._container.mux(packet)
            for time, sound in self._sound:
                self._container.mux(sound)
                if time >= until:
                    break

    def _abandon(self) -> None:
        """Remove the file."""
        self._closed = True
        self._sound = iter(())
        # Like a decoder, the encoder must be idle when it is freed; see `container.Decoder`.
        with suppress(Exception):
            self._stream.encode(None)
        with suppress(av.error.FFmpegError, OSError):
            self._container.close()
        if not self._encoding.in_place:
            with suppress(OSError):
                self._part.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Raise OutputError for errors of the system and of FFmpeg."""
        try:
            yield
        except (OSError, av.error.FFmpegError) as error:
            raise write_error(self._path, error) from error


def _ticks(rate: Fraction) -> int:
    """Return ticks per second, of which a frame of a constant rate lasts a whole number."""
    frames = rate.numerator
    return frames * -(-_TICKS // frames) if 0 < frames <= _TICKS else _TICKS
