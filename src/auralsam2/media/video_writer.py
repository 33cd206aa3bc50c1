"""A video file that plays in a browser: H.264 pictures at exact times, with the sound of another file."""

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
from auralsam2.media.audio_mux import overlay_audio
from auralsam2.media.write_error import write_error

_TICKS = 90_000
_LONE_SECONDS = 1.0
_MUXER = {"movflags": "+faststart", "movie_timescale": str(_TICKS)}
"""The index comes first, so that playing can begin before all is there; a late first picture keeps its exact time."""

_ENCODER = {"crf": "20", "preset": "fast", "bf": "0", "g": "60", "rc-lookahead": "10"}
"""No B-frames, so that decoding order is display order; a short look-ahead, so that few pictures wait in memory."""


class OverlayWriter:
    """Writes an MP4 picture by picture; a context manager.

    The file appears at `path` when the writer closes without an error, whole; until then it grows under a hidden name
    in the same folder, and after an error nothing of it stays. Pictures of odd size get one more row or column, a copy
    of the last, since H.264 in browsers needs even sizes.

    Args:
        path: the file to write, replaced if it exists.
        audio_from: a file whose sound is added; None for a silent video.
        start: the second of the source that is 0 in the overlay.
        end: the second of the source at which the overlay ends; None where pictures and sound end.
        pictures_end: the second of the source at which its last picture goes, as far as it is known.
        audio_track: number or language of the sound track of `audio_from`; None for the default one.

    Raises:
        OutputError: the file cannot be written.
        InputError: `audio_from` cannot be opened or has no sound track.
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
    ) -> None:
        self._path = Path(path)
        self._start = start
        self._ends = [second for second in (end, pictures_end) if second is not None]
        self._part = self._path.with_name(f".{self._path.name}.{uuid4().hex[:8]}.part")
        self._held: tuple[np.ndarray, int] | None = None  # the last picture and its ticks, not yet encoded
        self._reformatter = VideoReformatter()
        self._gap: int | None = None
        self._shape: tuple[int, ...] | None = None
        self._durations: dict[int, int] = {}
        self._sound: Iterator[tuple[float, Any]] = iter(())
        self._closed = False
        with self._writing():
            self._part.touch(exist_ok=False)
            self._container = av.open(f"file:{self._part}", mode="w", format="mp4", options=dict(_MUXER))
        try:
            with self._writing():
                self._stream: Any = self._container.add_stream("libx264", rate=25, options=dict(_ENCODER))
            if audio_from is not None:
                self._sound = overlay_audio(self._container, audio_from, start, end, audio_track)
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

    def write(self, image: np.ndarray, time: float) -> None:
        """Add a picture, shown from `time` until the next.

        Args:
            image: (H, W, 3) uint8 RGB, all of one size; must not change afterwards.
            time: second of the source; before start counts as start. At the time of the picture before, it takes that
                picture's place.

        Raises:
            OutputError: the file cannot be written.
            InputError: the sound cannot be read.
            ValueError: another shape or type, or a time before that of the last picture.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ValueError(f"image of {image.dtype} {image.shape}: give (H, W, 3) uint8")
        if self._shape is not None and image.shape != self._shape:
            raise ValueError(f"image of shape {image.shape} after images of shape {self._shape}")
        ticks = max(0, round((time - self._start) * _TICKS))
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
        context.height, context.width = (size + size % 2 for size in image.shape[:2])
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, _TICKS)
        context.color_range = ColorRange.MPEG
        context.colorspace = Colorspace.ITU709
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        self._stream.time_base = Fraction(1, _TICKS)

    def _last_duration(self, ticks: int) -> int:
        """Ticks for which the last picture stays: as long as the one before, but not beyond an end."""
        duration = self._gap or round(_LONE_SECONDS * _TICKS)
        left = [round((second - self._start) * _TICKS) - ticks for second in self._ends]
        # An end before the picture is a wrong announcement.
        return min([duration, *(ticks_left for ticks_left in left if ticks_left > 0)])

    def _encode(self, image: np.ndarray, ticks: int, duration: int) -> None:
        height, width = image.shape[:2]
        padded = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = self._reformatter.reformat(
            VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        frame.pts = ticks
        frame.time_base = Fraction(1, _TICKS)
        self._durations[ticks] = duration
        self._mux(self._stream.encode(frame))

    def _mux(self, packets: list[Any]) -> None:
        """Write pictures, and the sound that belongs before them, so that neither has to wait in memory."""
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts)
            until = (packet.pts + packet.duration) / _TICKS
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
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Raise OutputError for errors of the system and of FFmpeg."""
        try:
            yield
        except (OSError, av.error.FFmpegError) as error:
            raise write_error(self._path, error) from error
