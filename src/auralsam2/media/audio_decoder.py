"""The samples of a sound track at their own rate, with their times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from av.audio.resampler import AudioResampler

from auralsam2.errors import InputError
from auralsam2.media.audio_choice import AudioChoice, audio_stream
from auralsam2.media.container import announced_end, open_input
from auralsam2.media.resampler import MAX_RATE
from auralsam2.media.stream_decoder import DamageLog, Decoder
from auralsam2.types import AUDIO_RATE

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

_PREROLL = 1.0
"""Seconds decoded before a start that was reached by seeking, so that the codec has settled."""

_MAX_DRIFT = 0.005
"""Seconds by which a time stamp may miss the count of samples: containers round to milliseconds. Lost packets miss by
more, the shortest common one lasts 20 ms."""

_MAX_MISSING = 0.5
_MAX_STEP_BACK = 0.5


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of sound.

    Attributes:
        first: position of the first sample, counted at `rate` from 0 s.
        rate: samples per second.
        samples: (N, 2) float32 in [-1, 1], left and right.
    """

    first: int
    rate: int
    samples: np.ndarray


def read_chunks(path: Path, damage: DamageLog, start: float = 0.0, choice: AudioChoice = None) -> Iterator[AudioChunk]:
    """Decode a sound track of a file as chunks that do not overlap, in order; a gap between two is silence.

    Mono is copied to both sides; more than two channels are mixed down by FFmpeg's matrix, scaled so that it cannot
    clip.

    Args:
        path: a video or a sound file.
        damage: takes the moments of damage.
        start: sound before this second is not wanted, and may be left out.
        choice: number or language of the track; None for the default one.

    Raises:
        InputError: the file cannot be opened, has no sound track, or nothing of it decodes.
    """
    with open_input(path) as container:
        stream = audio_stream(container, path, choice)
        if stream is None:
            raise InputError(f"{path}: no audio track")
        builder = ChunkBuilder(damage)
        with Decoder(container, stream, damage) as decoder:
            sought = decoder.seek(start - _PREROLL)
            for time, frame in decoder.frames():
                if builder.end is None and sought and (time is None or time > start):
                    break
                chunk = builder.add(time, frame)
                if chunk is not None:
                    yield chunk
        if builder.end is not None:
            if announced_end(container, stream) - builder.end > _MAX_MISSING:
                damage.note(builder.end)
            return
    if not sought:
        raise InputError(f"{path}: no sound could be decoded, the audio track is empty or damaged")
    yield from read_chunks(path, damage, choice=choice)


class ChunkBuilder:
    """Turns the decoded frames of a sound track into chunks that do not overlap.

    Args:
        damage: receives corrections.

    Attributes:
        end: second at which the sound so far ends; None before the first frame.
    """

    def __init__(self, damage: DamageLog) -> None:
        self.end: float | None = None
        self._damage = damage
        self._converter = _Converter()
        self._silent_from: float | None = None

    def add(self, time: float | None, frame: AudioFrame) -> AudioChunk | None:
        """Return the new samples of the next frame; None without any.

        Args:
            time: of the frame in seconds; None where it follows the one before.
            frame: decoded.
        """
        samples = self._converter.stereo(frame)
        rate = frame.sample_rate
        if len(samples) == 0 or not 0 < rate <= MAX_RATE:
            return None
        end = self.end
        expected = 0.0 if end is None else end
        late = time is not None and self._silent_from is not None and time >= self._silent_from
        if end is not None and time is not None and time < expected - _MAX_STEP_BACK and not late:
            self._damage.correct(f"time stamps step back at {expected:.1f} s: continued without a gap")
            time = None
        if time is None or (end is not None and abs(time - end) <= _MAX_DRIFT):
            time = expected
        first = round(time * rate)
        skipped = max(0, round(expected * rate) - first) if end is not None else 0
        self.end = (first + len(samples)) / rate if end is None else max(expected, (first + len(samples)) / rate)
        return AudioChunk(first + skipped, rate, samples[skipped:]) if skipped < len(samples) else None

    def silence(self, until: float) -> AudioChunk | None:
        """Return silence from the end of the sound so far to a second; sound that comes later for it is dropped."""
        expected = 0.0 if self.end is None else self.end
        first, last = round(expected * AUDIO_RATE), round(until * AUDIO_RATE)
        if last <= first:
            return None
        if self._silent_from is None:
            self._silent_from = expected
        self.end = last / AUDIO_RATE
        return AudioChunk(first, AUDIO_RATE, np.zeros((last - first, 2), np.float32))


class _Converter:
    """Turns decoded frames of any sample format and layout into (N, 2) float32."""

    def __init__(self) -> None:
        self._key: tuple[str, str, int] | None = None
        self._resampler = AudioResampler()

    def stereo(self, frame: AudioFrame) -> np.ndarray:
        channels = frame.layout.nb_channels
        key = (frame.format.name, frame.layout.name, frame.sample_rate)
        if key != self._key:
            self._key = key
            # FFmpeg would halve the power of mono on its way to two sides: one and two channels keep their layout.
            layout = "stereo" if channels > 2 else frame.layout.name
            self._resampler = AudioResampler("fltp", layout, frame.sample_rate, options={"rematrix_maxval": "1"})
        try:
            planes = [piece.to_ndarray() for piece in self._resampler.resample(frame)]
        except Exception:
            self._key = None
            return np.zeros((0, 2), dtype=np.float32)
        if not planes:
            return np.zeros((0, 2), dtype=np.float32)
        samples = np.concatenate(planes, axis=1).T
        samples = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0).clip(-1.0, 1.0)
        return np.repeat(samples, 2, axis=1) if samples.shape[1] == 1 else samples
