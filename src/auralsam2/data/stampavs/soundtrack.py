"""The sound of a scene: what each thing sounds like, when, and all of it together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from auralsam2.data.stampavs import sound
from auralsam2.data.stampavs.assets import Category
from auralsam2.data.stampavs.mixes import Mix
from auralsam2.types import AUDIO_RATE


@dataclass(frozen=True, kw_only=True)
class Track:
    """What one thing sounds like, seen or not.

    Attributes:
        category: name.
        recording: key.
        sounding: (T,) bool, seconds in which it is heard; see `sound.audible`.
        level: dB of its loud parts below full scale.
        samples: (T · 16000,) float32, before it is placed left or right.
    """

    category: str
    recording: str
    sounding: np.ndarray
    level: float
    samples: np.ndarray


def draw_track(category: Category, seconds: int, mix: Mix, rng: np.random.Generator) -> Track:
    """The sound of one thing that is heard in one second at least."""
    chosen = category.recordings[int(rng.integers(len(category.recordings)))]
    gain = float(rng.uniform(mix.gains, 0.0))
    level = sound.LEVEL * 10 ** (gain / 20)
    while True:
        on = _pattern(seconds, rng)
        played = sound.play(sound.recording(chosen.path), on, rng)
        sounding, track = sound.audible(played * np.float32(level / sound.LEVEL), level)
        if sounding.any():
            return Track(
                category=category.name,
                recording=chosen.key,
                sounding=sounding,
                level=20 * float(np.log10(level)),
                samples=track,
            )


def _pattern(seconds: int, rng: np.random.Generator) -> np.ndarray:
    """On and off by the second, (T,) bool: a run of sound lasts three seconds on average, a rest two."""
    on = np.empty(seconds, dtype=bool)
    state = bool(rng.random() < 0.6)
    for second in range(seconds):
        on[second] = state
        state = bool(rng.random() < (0.67 if state else 0.5))
    if not on.any():
        on[int(rng.integers(seconds))] = True
    return on


def mix_down(
    kind: str,
    mix: Mix,
    seconds: int,
    placed: list[tuple[Track | None, np.ndarray]],
    away: list[Track],
    rng: np.random.Generator,
) -> np.ndarray:
    """All sounds together, (T · 16000, 2) float32, turned down as a whole where they would exceed full scale."""
    total = np.zeros((seconds * AUDIO_RATE, 2), dtype=np.float32)
    for track, pan in placed:
        if track:
            total += sound.pan(track.samples, pan)
    for track in away:
        total += sound.pan(track.samples, np.full(seconds, rng.choice([0.0, 1.0, rng.random()])))
    if kind == "noise":
        total += sound.noise(seconds, 10 ** (rng.uniform(-32, -16) / 20), rng)
    if mix.hiss:
        total += sound.noise(seconds, 10 ** (rng.uniform(*mix.hiss) / 20), rng)
    return total / max(1.0, float(np.abs(total).max()) / 0.99)
