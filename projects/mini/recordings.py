"""Recordings in the layout of RealAVS for audio tagging, and changes that another recording of a sound would have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from auralsam2.errors import InputError
from auralsam2.stampavs import audio
from auralsam2.stampavs.assets import Category, Recording
from auralsam2.stampavs.photographs import SourceFile, read_sounds
from auralsam2.types import AUDIO_RATE

_KNOTS, _GAIN = 7, 8.0
"""Number of frequencies of the equaliser, and its largest gain in dB."""
_LOW_PASS_PROB, _LOW_PASS = 0.25, (2500.0, 7000.0)
_ROOM_PROB, _DECAY, _WET = 0.3, (0.1, 0.6), (0.1, 0.6)
"""Probability of a room, its reverberation time RT60 in seconds, and the energy of the reverberation."""


@dataclass(frozen=True, kw_only=True)
class RecordingFolder:
    """Recordings of one split.

    Attributes:
        kinds: recordings by kind, in alphabetical order.
        noises: recordings without a visible source.
    """

    kinds: dict[str, tuple[Recording, ...]]
    noises: tuple[Recording, ...]


def read_recordings(
    folder: Path, split: Literal["train", "test"], excluded: frozenset[str] = frozenset()
) -> RecordingFolder:
    """Read the usable recordings of a folder in the layout of RealAVS; "test" has those marked as held out.

    Raises:
        InputError: `sounds.csv` is missing or damaged, or no recording is usable.
    """
    sounds, noises = read_sounds(folder, split, excluded)
    kinds: dict[str, list[Recording]] = defaultdict(list)
    for sound, recording in _usable(sounds):
        kinds[sound.category].append(recording)
    if not kinds:
        raise InputError(f"{folder}: sounds.csv has no usable recording of the split {split!r}")
    return RecordingFolder(
        kinds={name: tuple(items) for name, items in sorted(kinds.items())},
        noises=tuple(recording for _, recording in _usable(noises)),
    )


def add_recordings(categories: Sequence[Category], folder: RecordingFolder) -> tuple[Category, ...]:
    """Add the recordings of a folder to categories of their names; other kinds become categories without images."""
    named = {category.name: category for category in categories}
    added = [
        replace(category, recordings=(*category.recordings, *folder.kinds.get(category.name, ())))
        for category in categories
    ]
    added += [
        Category(name=name, group="", verb="", pictures=(), recordings=recordings)
        for name, recordings in folder.kinds.items()
        if name not in named
    ]
    return tuple(added)


def change_recording(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change timbre and reverberation of (n,) samples at random, with equal RMS: (n,) float32.

    A smooth equaliser changes the spectrum, sometimes a low-pass filter removes high frequencies, and sometimes
    exponentially decaying noise adds the reverberation of a room.
    """
    rms = float(np.sqrt(np.square(samples, dtype=np.float64).mean()))
    if rms == 0:
        return samples
    length = 2 * len(samples)  # The filters must not wrap around.
    frequencies = np.maximum(np.fft.rfftfreq(length, 1 / AUDIO_RATE), 30.0)
    knots = np.geomspace(60.0, AUDIO_RATE / 2, _KNOTS)
    response = 10 ** (np.interp(np.log(frequencies), np.log(knots), rng.uniform(-_GAIN, _GAIN, _KNOTS)) / 20)
    if rng.random() < _LOW_PASS_PROB:
        response = response / np.sqrt(1 + (frequencies / rng.uniform(*_LOW_PASS)) ** 8)
    if rng.random() < _ROOM_PROB:
        decay = rng.uniform(*_DECAY)
        times = np.arange(round(decay * AUDIO_RATE)) / AUDIO_RATE
        tail = rng.standard_normal(len(times)) * 10 ** (-3 * times / decay)
        impulse = np.zeros(len(times))
        impulse[0] = 1.0
        impulse += tail * np.sqrt(rng.uniform(*_WET) / np.square(tail).sum())
        response = response * np.fft.rfft(impulse, n=length)
    changed = np.fft.irfft(np.fft.rfft(samples, n=length) * response, n=length)[: len(samples)]
    return (changed * (rms / max(float(np.sqrt(np.square(changed).mean())), 1e-9))).astype(np.float32)


def _usable(files: Sequence[SourceFile]) -> list[tuple[SourceFile, Recording]]:
    usable = []
    for file in files:
        try:
            audio.read_recording(file.path)
        except InputError:
            continue
        usable.append((file, Recording(key=file.path.stem, path=file.path)))
    return usable
