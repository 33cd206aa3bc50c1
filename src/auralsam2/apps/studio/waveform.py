"""The sound of a clip as a line to look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from auralsam2.media.sound import SoundTrack

MOST = 2000
"""Pairs of a waveform: more than a screen has columns."""
_PER_SECOND = 100


def peaks(path: Path, duration: float, advance: Callable[[float], None]) -> tuple[tuple[float, float], ...]:
    """The lowest and the highest sample of equal stretches, both channels together; one stretch is held at a time.

    Args:
        path: a file with sound.
        duration: seconds to cover.
        advance: told the part that is done, in [0, 1]; what it raises stops the work.

    Returns:
        at most `MOST` pairs in [-1, 1], rounded to a thousandth.

    Raises:
        InputError: the sound cannot be read.
    """
    count = max(1, min(MOST, round(duration * _PER_SECOND)))
    found = []
    with SoundTrack(path) as sound:
        for number in range(count):
            piece = sound.read(number * duration / count, (number + 1) * duration / count)
            advance(number / count)
            found.append((round(float(piece.min(initial=0)), 3), round(float(piece.max(initial=0)), 3)))
    return tuple(found)
