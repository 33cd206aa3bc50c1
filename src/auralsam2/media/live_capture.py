"""Pictures and sound of a live source, decoded in a background thread into bounded queues."""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from auralsam2.errors import InputError
from auralsam2.media.audio_choice import AudioChoice, live_audio_stream
from auralsam2.media.audio_decoder import AudioChunk, ChunkBuilder
from auralsam2.media.container import frame_rate
from auralsam2.media.deinterlacer import Deinterlacer
from auralsam2.media.frame_reader import FrameReader, Picture
from auralsam2.media.live_input import ANSWER_SECONDS, is_paced, open_live, source_name
from auralsam2.media.packet_clock import PacketClock
from auralsam2.media.stream_decoder import DamageLog, Decoder, demux
from auralsam2.types import Frame, MediaInfo

if TYPE_CHECKING:
    from av.container import InputContainer

_QUEUE_BYTES = 256 << 20
"""Size of the pictures that wait, in bytes."""
_MIN_QUEUE = 2
_SOUND_SECONDS = 60.0
"""Seconds of sound that wait."""
_SOUND_LAG = 2.0
"""Seconds by which the sound may be later than the pictures; after that it counts as silence."""
_SLICE = 0.05
_JOIN_SECONDS = 5.0


class LiveCapture:
    """Frames and sound of a live source; iterate once.

    A background thread reads the source as it comes, whatever the speed of the consumer. The processed frames wait in a
    queue of bounded length. With `realtime`, the oldest frame is dropped where the queue is full, and counted; a file
    is read at the speed at which it plays. Without, the source waits, and no frame is lost.

    Args:
        source: see `live_input.open_live`.
        fps: processed frames per second; None for every frame.
        end: seconds after which the source ends; None for its own end.
        depth: number of frames that may wait; fewer where they exceed 256 MiB.
        realtime: drop frames rather than wait.
        use_audio: decode the sound.
        audio_track: number or language of the audio track; None for the default one.
        input_format: see `live_input.open_live`.
        input_options: see `live_input.open_live`.

    Attributes:
        name: of the source, for people.
        dropped: number of frames that were dropped so far.
        info: properties of the source, once `start` has returned.
    """

    info: MediaInfo

    def __init__(
        self,
        source: Any,
        *,
        fps: float | None,
        end: float | None = None,
        depth: int,
        realtime: bool = True,
        use_audio: bool = True,
        audio_track: AudioChoice = None,
        input_format: str | None = None,
        input_options: Mapping[str, str] | None = None,
    ) -> None:
        self.name = source_name(source)
        self.dropped = 0
        self._source, self._fps, self._end, self._depth = source, fps, end, depth
        self._realtime, self._use_audio, self._audio_track = realtime, use_audio, audio_track
        self._input_format, self._input_options = input_format, input_options
        self._paced = realtime and is_paced(source, input_format)
        self._frames: deque[Frame] = deque()
        self._sound: deque[AudioChunk] = deque()
        self._sound_seconds = self._lost_sound = 0.0
        self._instants: dict[int, float] = {}  # of frames that the consumer has taken
        self._taken = 0
        self._delay = math.inf  # least difference between the time of arrival and that of the source
        self._began: float | None = None
        self._reader: _LivePictures | None = None
        self._sound_damage = DamageLog(Path(self.name), "sound")
        self._has_audio = False
        self._stopped = self._ended = False
        self._error: BaseException | None = None
        # Its lock is re-entrant, so that a signal handler can call `stop`.
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="live-capture", daemon=True)

    def start(self) -> Self:
        """Start reading and wait for the first frame.

        Raises:
            InputError: the source cannot be opened, or has no pictures.
        """
        self._thread.start()
        with self._changed:
            while not self._frames and not self._ended:
                self._changed.wait()
        if not self._frames:
            raise self._error or InputError(f"{self.name}: ended before the first picture")
        return self

    def stop(self) -> None:
        """End the source here; frames that wait are still yielded. May be called from a signal handler."""
        self._stopped = True
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Stop and drop everything that waits."""
        self.stop()
        with self._changed:
            self._frames.clear()
            self._sound.clear()
            self._ended = True
            self._changed.notify_all()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_SECONDS)

    @property
    def damage(self) -> list[float]:
        """Seconds at which the pictures turned out damaged, so far."""
        return [] if self._reader is None else self._reader.damage

    @property
    def notes(self) -> list[str]:
        """Sentences about corrections, conversions and losses, so far."""
        notes = [] if self._reader is None else [*self._reader.notes]
        notes += [f"audio: {note}" for note in self._sound_damage.notes]
        if self.dropped:
            total = self.dropped + self._taken
            notes.append(
                f"{self.dropped} of {total} frames dropped: the model is slower than the source: lower `fps`, or raise "
                "`latency`"
            )
        if self._lost_sound:
            notes.append(f"{self._lost_sound:.1f} s of sound dropped: the model is slower than the source")
        return notes

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        """Return the next frame, numbered without gaps; wait for it.

        Raises:
            InputError: the source is encrypted, or failed before its first picture.
        """
        with self._changed:
            while not self._frames and not self._ended:
                self._changed.wait()
            if not self._frames:
                if self._error is not None:
                    error, self._error = self._error, None
                    raise error
                raise StopIteration
            frame = dataclasses.replace(self._frames.popleft(), index=self._taken)
            self._instants[frame.index] = frame.instant
            self._taken += 1
            self._changed.notify_all()
        return frame

    def latency(self, index: int) -> float:
        """Return the seconds that have passed since the instant of a frame; call it once for each frame, in order.

        The clock of the source is that of its earliest packet: a constant delay before this machine does not count.
        """
        for earlier in range(next(iter(self._instants), index), index):
            self._instants.pop(earlier, None)
        return max(0.0, time.monotonic() - self._delay - self._instants.pop(index))

    def chunks(self) -> Iterator[AudioChunk]:
        """Yield the sound; wait for it."""
        while True:
            with self._changed:
                while not self._sound and not self._ended:
                    self._changed.wait()
                if not self._sound:
                    return
                chunk = self._sound.popleft()
                self._sound_seconds -= len(chunk.samples) / chunk.rate
            yield chunk

    def _run(self) -> None:
        """Read the source; runs in the background thread."""
        try:
            with open_live(
                self._source,
                lambda: self._stopped,
                input_format=self._input_format,
                input_options=self._input_options,
            ) as container:
                self._read(container)
        except BaseException as error:
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _read(self, container: InputContainer) -> None:
        audio = live_audio_stream(container, self.name, self._audio_track) if self._use_audio else None
        self._has_audio = audio is not None
        self._reader = reader = _LivePictures(
            self.name,
            container,
            audio,
            fps=self._fps,
            end=self._end,
            sound_damage=self._sound_damage,
            on_sound=self._add_sound,
            on_time=self._wait_until,
        )
        for frame in reader:
            if not hasattr(self, "info"):
                self.info = self._describe(frame, reader)
            self._add_frame(frame)

    def _describe(self, frame: Frame, reader: _LivePictures) -> MediaInfo:
        height, width = frame.image.shape[:2]
        audio = reader.audio
        return MediaInfo(
            path=Path(self.name),
            width=width,
            height=height,
            fps=reader.rate,
            duration=0.0,
            audio_rate=None if audio is None else audio.codec_context.sample_rate or None,
            audio_channels=0 if audio is None else audio.codec_context.layout.nb_channels,
            time_base=reader.time_base,
            name=self.name,
        )

    def _add_frame(self, frame: Frame) -> None:
        depth = max(_MIN_QUEUE, min(self._depth, _QUEUE_BYTES // frame.image.nbytes))
        with self._changed:
            while len(self._frames) >= depth and not self._stopped:
                if self._realtime:
                    self._frames.popleft()
                    self.dropped += 1
                else:
                    self._changed.wait(_SLICE)
            self._frames.append(frame)
            self._changed.notify_all()

    def _add_sound(self, chunk: AudioChunk) -> None:
        with self._changed:
            self._sound.append(chunk)
            self._sound_seconds += len(chunk.samples) / chunk.rate
            while self._realtime and self._sound_seconds > _SOUND_SECONDS:
                oldest = self._sound.popleft()
                seconds = len(oldest.samples) / oldest.rate
                self._sound_seconds -= seconds
                self._lost_sound += seconds
            self._changed.notify_all()

    def _wait_until(self, second: float) -> bool:
        """Note the arrival of a packet of a second of the source; where this is a file, wait for the second.

        Returns:
            false once the capture was stopped.
        """
        if self._began is None:
            self._began = time.monotonic() - second
        while self._paced and not self._stopped and (left := self._began + second - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE))
        self._delay = min(self._delay, time.monotonic() - second)
        return not self._stopped


class _SourceEndedError(Exception):
    """The source sends nothing any more."""


class _LivePictures(FrameReader):
    """Frames of a live source, decoded together with its sound.

    Args:
        name: of the source.
        container: the open source, which the caller closes.
        audio: the audio stream to decode, or None.
        fps: processed frames per second; None for every frame.
        end: seconds after which the source ends, or None.
        sound_damage: receives damage and corrections of the sound.
        on_sound: called with each chunk of sound.
        on_time: called with the decoding time of each packet, in seconds, before it is decoded; false ends the source.
    """

    def __init__(
        self,
        name: str,
        container: InputContainer,
        audio: Any,
        *,
        fps: float | None,
        end: float | None,
        sound_damage: DamageLog,
        on_sound: Callable[[AudioChunk], None],
        on_time: Callable[[float], bool],
    ) -> None:
        self._live, self.audio = container, audio
        self._sound_damage, self._on_sound, self._on_time = sound_damage, on_sound, on_time
        self._received = time.monotonic()
        super().__init__(Path(name), fps=fps, start=0.0, end=end)
        self.rate = float(frame_rate(self._stream) or 0)
        self.time_base = self._stream.time_base

    def _open(self) -> InputContainer:
        return self._live

    def _plausible(self, until: float, fps: float) -> float:
        return until

    def _pictures(self) -> Iterator[Picture]:
        moments = Deinterlacer(self._damage.correct).pictures(self._decode())
        for number, (moment, picture) in enumerate(self._ordered(moments, self._spacing())):
            yield Picture(moment, picture, number)

    def _decode(self) -> Iterator[tuple[float | None, Any]]:
        """Yield the decoded pictures; pass on the sound between them."""
        builder = ChunkBuilder(self._sound_damage)
        clock = PacketClock(self._live, self._damage.correct) if PacketClock.applies_to(self._live) else None
        zero = self._live.start_time is not None
        streams = [self._stream, *([] if self.audio is None else [self.audio])]
        with ExitStack() as stack, suppress(_SourceEndedError):
            logs = (self._damage, self._sound_damage)
            decoders = {
                stream.index: stack.enter_context(Decoder(self._live, stream, log, live=True))
                for stream, log in zip(streams, logs, strict=False)
            }
            for packet in demux(self._live, streams, self._fail):
                self._received = time.monotonic()
                if clock is not None:
                    clock.correct(packet)
                ticks = packet.dts if packet.dts is not None else packet.pts
                if not zero and ticks is not None and packet.time_base:
                    zero = True
                    for decoder in decoders.values():
                        decoder.zero = ticks * packet.time_base
                decoder = decoders[packet.stream_index]
                second = decoder.seconds(ticks)
                if second is not None and not self._on_time(second):
                    return
                if packet.stream_index != self._stream.index:
                    for moment, frame in decoder.decode(packet):
                        self._pass_on(builder.add(moment, frame))
                    continue
                yield from decoder.decode(packet)
                if self.audio is not None and second is not None:
                    self._pass_on(builder.silence(second - _SOUND_LAG))

    def _pass_on(self, chunk: AudioChunk | None) -> None:
        if chunk is not None:
            self._on_sound(chunk)

    def _fail(self) -> None:
        """Handle an error of the source: damage, or the end where it has sent nothing for some time."""
        if time.monotonic() - self._received >= ANSWER_SECONDS - 1:
            self._damage.correct(f"the source sent nothing for {ANSWER_SECONDS:g} s: ended")
            raise _SourceEndedError
        self._damage.note(self._video_end)
