"""The sound of a file as 16 kHz stereo, by the second."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from auralsam2.errors import InputError, UsageError
from auralsam2.media.audio_choice import AudioChoice, audio_stream
from auralsam2.media.audio_decoder import AudioChunk, read_chunks
from auralsam2.media.container import open_input
from auralsam2.media.resampler import Resampler
from auralsam2.media.stream_decoder import DamageLog
from auralsam2.types import AUDIO_RATE


class SoundTrack:
    """A sound track of a file, decoded on demand; a context manager.

    Times are seconds on the clock of the pictures. Sound of the last `rewind` seconds before the furthest end read is
    kept, older sound is dropped.

    Args:
        path: a video or a sound file.
        start: nothing more than `rewind` seconds before this will be read.
        choice: number or language of the track; None for the default one.
        chunks: sound of a live source in place of the file's.

    Attributes:
        rewind: seconds by which a read may begin before the furthest end read so far.
        damage: seconds at which the sound turned out damaged, so far.

    Raises:
        InputError: the file cannot be opened or has no sound track.
    """

    rewind: ClassVar[int] = 30

    def __init__(
        self,
        path: Path | str,
        *,
        start: float = 0.0,
        choice: AudioChoice = None,
        chunks: Iterator[AudioChunk] | None = None,
    ) -> None:
        path = Path(path)
        if not 0 <= start < float("inf"):
            raise UsageError(f"start {start:g} must be 0 s or later")
        self._damage = DamageLog(path, "sound")
        if chunks is None:
            with open_input(path) as container:
                if audio_stream(container, path, choice) is None:
                    raise InputError(f"{path}: no audio track")
            chunks = read_chunks(path, self._damage, max(0.0, start - self.rewind), choice)
        self._furthest = _position(start)
        self._pieces: deque[tuple[int, np.ndarray]] = deque()
        self._floor = self._furthest - _position(self.rewind)
        self._known = 0
        self._end = 0
        self._ended = False
        self._steps = self._decode(chunks)

    @property
    def damage(self) -> list[float]:
        """Seconds at which damage was met, in order; damage within one second counts once."""
        return self._damage.times

    @property
    def notes(self) -> list[str]:
        """Sentences about corrections of the sound, so far."""
        return self._damage.notes

    @property
    def duration(self) -> float | None:
        """The second at which the sound ends; None as long as the end has not been reached."""
        return self._end / AUDIO_RATE if self._ended else None

    def read(self, begin: float, end: float) -> np.ndarray:
        """The sound of the seconds [begin, end).

        Args:
            begin: at most `rewind` seconds before the furthest end read so far; may be negative.
            end: not before begin.

        Returns:
            (round((end - begin) · 16000), 2) float32 in [-1, 1]: left and right, zero where the file has no sound.

        Raises:
            ValueError: begin lies too far back, or after end.
            InputError: nothing of the sound track decodes.
        """
        first = _position(begin)
        count = _position(end - begin)
        if count < 0:
            raise ValueError(f"begin {begin:g} s lies after end {end:g} s")
        if first < self._furthest - _position(self.rewind):
            raise ValueError(
                f"sound from {begin:g} s on is no longer kept, only the last {self.rewind} s of what was read"
            )
        self._furthest = max(self._furthest, first + count)
        self._forget(min(first, self._furthest - _position(self.rewind)))
        self._fill(first + count)
        sound = np.zeros((count, 2), dtype=np.float32)
        for at, piece in self._pieces:
            low, high = max(at, first), min(at + len(piece), first + count)
            if low < high:
                sound[low - first : high - first] = piece[low - at : high - at]
        return sound

    def ends_before(self, time: float) -> bool:
        """Whether the sound has ended at `time` seconds; decodes up to there.

        Raises:
            ValueError: time lies more than `rewind` seconds after the furthest end read: all that would have to be
                kept.
            InputError: nothing of the sound track decodes.
        """
        until = _position(time)
        if until > self._furthest + _position(self.rewind):
            raise ValueError(f"{time:g} s lies more than {self.rewind} s after the last sound read")
        self._fill(until + 1)
        return self._ended and self._end <= until

    def close(self) -> None:
        """Let go of the file and the sound."""
        self._steps.close()
        self._pieces.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fill(self, until: int) -> None:
        """Decode until all sound before position `until` is known."""
        while not self._ended and self._known < until:
            if next(self._steps, None) is None:
                self._ended = True

    def _forget(self, before: int) -> None:
        self._floor = before
        while self._pieces and self._pieces[0][0] + len(self._pieces[0][1]) <= before:
            self._pieces.popleft()

    def _decode(self, chunks: Iterator[AudioChunk]) -> Generator[bool, None, None]:
        """Decode chunk by chunk into `_pieces`; each step makes some more sound known."""
        resampler: Resampler | None = None
        run = (0, 0)  # rate and next position of the run of chunks that the resampler is in
        at = 0
        for chunk in chunks:
            if resampler is None or run != (chunk.rate, chunk.first):
                if resampler is not None:
                    self._keep(resampler.finish(), at)
                resampler = Resampler(chunk.rate, chunk.first)
                at = resampler.start
            run = (chunk.rate, chunk.first + len(chunk.samples))
            at = self._keep(resampler.push(chunk.samples), at)
            yield True
        if resampler is not None:
            self._keep(resampler.finish(), at)

    def _keep(self, pieces: Iterator[np.ndarray], at: int) -> int:
        """Keep pieces that follow one another from position `at` on, as far as they are new; return where they end."""
        for piece in pieces:
            known = max(self._end - at, 0)
            at += len(piece)
            if known < len(piece):
                self._end = at
                if at > self._floor:
                    self._pieces.append((at - len(piece) + known, piece[known:].clip(-1.0, 1.0)))
        self._known = max(self._known, at)
        return at


def _position(seconds: float) -> int:
    return round(seconds * AUDIO_RATE)
