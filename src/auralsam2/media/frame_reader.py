"""The pictures of a video, one by one, at the wanted moments."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator
from itertools import chain, count, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from av.video.reformatter import VideoReformatter

from auralsam2.errors import InputError, UsageError
from auralsam2.media.audio_choice import sound_end
from auralsam2.media.container import (
    announced_duration,
    announced_end,
    frame_rate,
    open_input,
    positive,
    video_stream,
)
from auralsam2.media.deinterlacer import Deinterlacer
from auralsam2.media.rgb import Orientation, display_size, to_rgb
from auralsam2.media.stream_decoder import DamageLog, Decoder, demux
from auralsam2.media.tone_mapping import ColourConversion
from auralsam2.types import Frame

if TYPE_CHECKING:
    import numpy as np
    from av.container import InputContainer
    from av.video.frame import VideoFrame

_SLACK = 1e-6
"""Seconds by which a start may miss a frame that it means, since time stamps are not decimal."""

_LONG = 10.0
"""Seconds of display that are plausible without further evidence."""
_LONGEST_STILL = 60.0
"""Seconds for which a picture may stay after the sound of the file has ended."""
_MAX_STEP_BACK = 0.5
_STEP = 5e-4
"""Seconds between pictures whose time stamps do not rise."""
_PREROLL = 1.0
"""Seconds decoded before a start that a seek reaches, so that the choice of time stamps is settled."""
_MAX_MISSING = 0.5
_MAX_LATE = 100
"""Pictures that are decoded to find out whether the first time stamp, of more than 10 s, is right."""


def _shown_at(packet: Any) -> float:
    """Time stamp of a packet; infinity without one, so that it does not count as earlier."""
    return next((ticks for ticks in (packet.pts, packet.dts) if ticks is not None), math.inf)


def read_frames(
    path: Path | str, *, fps: float | None = None, start: float = 0.0, end: float | None = None
) -> FrameReader:
    """Open a video for reading its frames lazily.

    Args:
        path: the video.
        fps: wanted frames per second; None for every frame of the source.
        start: first wanted second, from 0.
        end: the second before which to stop; None for the end of the video.

    Raises:
        InputError: the file cannot be opened or holds no pictures.
        UsageError: fps, start or end make no sense.
    """
    return FrameReader(Path(path), fps=fps, start=start, end=end)


def slot_at(index: int, fps: float, start: float, end: float) -> tuple[float, float]:
    """Return begin and end, in seconds, of the part that a frame represents: a period, or for the last up to the end.

    Args:
        index: of the frame.
        fps: frames per second.
        start: of the processed part, in seconds.
        end: of the processed part, in seconds; infinity if it is unknown. Ignored before the frame.
    """
    begin, instant = start + index / fps, start + (index + 0.5) / fps
    last = begin < end <= instant + 1 / fps
    return begin, end if last else start + (index + 1) / fps


class Picture(NamedTuple):
    """A decoded picture, its time in seconds, and its number among the pictures of the file."""

    time: float
    frame: VideoFrame
    number: int | None


class FrameReader:
    """Iterator over the `Frame`s of a video, and a context manager that closes it.

    With `fps`, the wanted instants are start + (j + 0.5) / fps for j = 0, 1, … and the frame of an instant is the one
    on display then: the last that is not later, or the first of all where none is earlier. With variable frame rate
    one picture may thus be yielded several times, with the same `time` and the same `image`; different pictures have
    different times. Without `fps` every frame of [start, end) is yielded and `instant` equals `time`. Where nothing
    falls into [start, end), the picture on display at start is yielded, once. `slot` is that of `slot_at`; without
    `fps`, it lasts until the next frame.

    Damaged time stamps are corrected where the next picture contradicts them. The last picture is shown up to the
    announced end of the stream. Frames end with a note of damage where the sound of the file has ended and a picture
    would be shown for more than 60 s after it.

    Args:
        path: the video.
        fps, start, end: see `read_frames`.
        numbered: give each frame its number in the file. For a late start, this reads the file up to there.

    Attributes:
        damage: seconds at which the pictures turned out damaged, so far.

    Raises (while iterating):
        InputError: not one picture could be decoded, or start lies behind the last.
    """

    def __init__(
        self, path: Path, *, fps: float | None, start: float, end: float | None, numbered: bool = True
    ) -> None:
        if fps is not None and not (math.isfinite(fps) and fps > 0):
            raise UsageError(f"fps {fps:g} must be above 0")
        if not (math.isfinite(start) and start >= 0):
            raise UsageError(f"start {start:g} must be 0 s or later")
        if end is not None and not end > start:
            raise UsageError(f"end {end:g} s must be later than start {start:g} s")
        self._path = path
        self._fps = fps
        self._start = start
        self._end = math.inf if end is None else end
        self._damage = DamageLog(path, "picture")
        self._size: tuple[int, int] | None = None
        self._stored = (0, 0)
        self._orientation = Orientation()
        self._reformatter = VideoReformatter()
        self._video_end = 0.0
        self._index = 0
        self._numbered = numbered
        self._may_seek = True
        self._starts_late = False
        self._container = self._open()
        stream = video_stream(self._container)
        if stream is None:
            self._container.close()
            raise InputError(f"{path}: no video track")
        self._stream = stream
        self._frames = self._every_frame() if fps is None else self._at_instants(fps)

    @property
    def damage(self) -> list[float]:
        """Seconds at which damage was met, in order; damage within one second counts once."""
        return self._damage.times

    @property
    def notes(self) -> list[str]:
        """Sentences about corrections and conversions of the pictures, so far."""
        return self._damage.notes

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        return next(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; no more frames are yielded."""
        self._frames.close()
        self._container.close()

    def _open(self) -> InputContainer:
        return open_input(self._path)

    def _every_frame(self) -> Generator[Frame, None, None]:
        shown: Picture | None = None
        held: Picture | None = None  # its slot ends with the next picture
        for picture in self._pictures():
            if held is not None:
                yield self._frame(held, held.time, (held.time, min(picture.time, self._end)))
                held = None
            if picture.time >= self._end:
                shown = shown or picture
                break
            if picture.time < self._start - _SLACK:
                shown = picture
                continue
            held = picture
        if held is not None:
            yield self._frame(held, held.time, (held.time, min(self._video_end, self._end)))
        if self._index == 0:
            yield self._only(shown)

    def _at_instants(self, fps: float) -> Generator[Frame, None, None]:
        shown: Picture | None = None
        at_start: Picture | None = None
        for picture in self._pictures():
            if shown is not None:
                until = self._plausible(picture.time, fps)
                yield from self._while_shown(shown, fps, until)
                if until < min(picture.time, self._end):
                    self._damage.note(until)
                    break
            if self._instant(fps) >= self._end and picture.time > self._start:
                break
            shown = picture
            if at_start is None or picture.time <= self._start + _SLACK:
                at_start = shown
        else:
            if shown is not None:
                yield from self._while_shown(shown, fps, self._plausible(self._video_end, fps))
        if self._index == 0:
            yield self._only(at_start)

    def _instant(self, fps: float) -> float:
        return self._start + (self._index + 0.5) / fps

    def _plausible(self, until: float, fps: float) -> float:
        """Second at which the picture on display disappears: `until`, or earlier where a damaged stamp is likely."""
        begin = self._instant(fps)
        if until - begin <= _LONGEST_STILL:
            return until
        heard = sound_end(self._container, self._path)
        return until if heard is None else min(until, max(heard, begin) + _LONGEST_STILL)

    def _while_shown(self, picture: Picture, fps: float, until: float) -> Iterator[Frame]:
        """The frames of the instants that pass before `until` with this picture on display."""
        image = None
        while (instant := self._instant(fps)) < min(until, self._end):
            slot = slot_at(self._index, fps, self._start, self._end)
            frame = self._frame(picture, instant, slot, image)
            image = frame.image
            yield frame

    def _only(self, shown: Picture | None) -> Frame:
        """The one frame of a part in which no instant falls."""
        if shown is None:
            raise InputError(f"{self._path}: no picture could be decoded, the file is damaged or incomplete")
        if self._start >= self._video_end:
            raise InputError(
                f"{self._path}: the pictures end at {self._video_end:.2f} s, start {self._start:g} must be earlier"
            )
        instant = shown.time if self._fps is None else max(shown.time, self._start)
        return self._frame(shown, instant, (self._start, min(self._video_end, self._end)))

    def _frame(
        self, shown: Picture, instant: float, slot: tuple[float, float], image: np.ndarray | None = None
    ) -> Frame:
        picture = shown.frame
        if image is None:
            if self._size is None:
                self._orientation = Orientation.of(picture)
                aspect = positive(self._stream.sample_aspect_ratio)
                self._size = display_size(picture, aspect, self._orientation)
                self._stored = (picture.width, picture.height)
            if (picture.width, picture.height) != self._stored:
                size = f"{picture.width}x{picture.height}"
                self._damage.correct(f"pictures of {size} pixels scaled to the size of the first")
            conversion = ColourConversion.of(picture)
            if conversion is not None:
                self._damage.correct(conversion.note)
            image = to_rgb(picture, *self._size, self._orientation, self._reformatter, conversion)
        self._index += 1
        return Frame(
            index=self._index - 1,
            time=shown.time,
            instant=instant,
            slot=slot,
            image=image,
            source_index=shown.number,
            pts=picture.pts,
        )

    def _pictures(self) -> Iterator[Picture]:
        """Yield the pictures in rising order of time, from the one on display at start or earlier."""
        spacing = self._spacing()
        with Decoder(self._container, self._stream, self._damage) as decoder:
            sought = self._may_seek and decoder.seek(self._start - _PREROLL)
            moments = Deinterlacer(self._damage.correct).pictures(decoder.frames())
            first = next(moments, None)
            late = not sought and first is not None and first[0] is not None and first[0] > _LONG
            if late and first is not None and not self._starts_late:
                first = self._after_step_back(first, moments)
                sought = self._starts_late = first is None
            if first is not None and not (sought and (first[0] is None or first[0] > self._start)):
                before = self._count_before(first[1].pts) if sought else 0
                numbers = count(before) if before is not None else repeat(None)
                for time, picture in self._ordered(chain([first], moments), spacing):
                    yield Picture(time, picture, next(numbers))
                first, sought = None, False
        if sought:
            yield from self._from_the_top()
            return
        missing = announced_end(self._container, self._stream) - self._video_end
        if self._video_end > 0 and missing > max(_MAX_MISSING, 3 * spacing):
            self._damage.note(self._video_end)

    def _count_before(self, pts: int | None) -> int | None:
        """Count the pictures of the file before a time stamp; None if they are not numbered."""
        if pts is None or not self._numbered:
            return None
        with open_input(self._path) as container:
            stream = video_stream(container)
            packets = demux(container, [] if stream is None else [stream], lambda: None)
            return sum(packet.size > 0 and not packet.is_discard and _shown_at(packet) < pts for packet in packets)

    def _after_step_back(
        self, first: tuple[float | None, VideoFrame], moments: Iterator[tuple[float | None, VideoFrame]]
    ) -> tuple[float | None, VideoFrame] | None:
        """Skip pictures with damaged time stamps at the start; None where the first stamp seems to be right."""
        for moment, picture in islice(moments, _MAX_LATE):
            if moment is not None and first[0] is not None and moment < first[0] - _MAX_STEP_BACK:
                self._damage.note(0.0)
                return moment, picture
        return None

    def _ordered(
        self, moments: Iterable[tuple[float | None, VideoFrame]], spacing: float
    ) -> Iterator[tuple[float, VideoFrame]]:
        """Yield all decoded pictures with rising times, each after the next one has confirmed its time stamp.

        A picture more than half a second later than the next one is late by mistake if the next one is later than the
        one before; its time then follows from the one before. Other pictures whose time stamps step back follow the one
        before: by its duration after a step of more than half a second, else directly. A single picture is shown until
        the end of the file.
        """
        before: float | None = None  # end of the picture before the held one
        held: tuple[float, VideoFrame] | None = None
        last = -math.inf  # time of the picture before the held one
        count = 0
        for moment, picture in moments:
            time = (0.0 if held is None else self._end_of(*held, spacing)) if moment is None else max(moment, 0.0)
            if held is not None and time <= held[0]:
                if held[0] - time <= _MAX_STEP_BACK:
                    time = held[0] + _STEP
                elif time <= last:
                    self._damage.correct(f"time stamps step back at {held[0]:.1f} s: continued without a gap")
                    time = self._end_of(*held, spacing)
                else:
                    self._damage.note(max(last, 0.0))
                    corrected = min(time - spacing if before is None else before, time - _STEP)
                    held = (max(corrected, last + _STEP, 0.0), held[1])
                    time = max(time, held[0] + _STEP)
            if held is not None:
                yield held
                last, before = held[0], self._end_of(*held, spacing)
            held = (time, picture)
            self._video_end = self._end_of(*held, spacing)
            count += 1
        if count == 1:
            self._video_end = max(self._video_end, announced_duration(self._container))
        if held is not None:
            yield held

    def _from_the_top(self) -> Iterator[Picture]:
        """Start again without seeking, where the index of the file proved wrong."""
        self._container.close()
        self._container = self._open()
        stream = video_stream(self._container)
        if stream is None:
            raise InputError(f"{self._path}: no video track")
        self._stream = stream
        self._may_seek = False
        yield from self._pictures()

    def _spacing(self) -> float:
        """Average seconds from frame to frame according to the file."""
        rate = frame_rate(self._stream)
        return 0.04 if rate is None else 1 / float(rate)

    def _end_of(self, time: float, picture: VideoFrame, spacing: float) -> float:
        """Second at which the display of a picture ends should none follow.

        Its duration counts unless it is damaged, then `spacing`. What lasts more than 10 s ends with the stream.
        """
        time_base = positive(picture.time_base)
        seconds = float(picture.duration * time_base) if picture.duration > 0 and time_base else 0.0
        announced = announced_duration(self._container)
        if not 0 < seconds <= max(_LONG, announced):
            seconds = spacing
        if seconds > _LONG:
            left = (announced_end(self._container, self._stream) or announced) - time
            seconds = min(seconds, left if left > 0 else _LONG)
        return time + seconds
