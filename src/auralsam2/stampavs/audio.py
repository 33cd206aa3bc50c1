"""What an object sounds like over a clip, and in which seconds it is heard.

Frame i stands for the second [i, i + 1); the log-mel example that a model hears with it covers 0.96 i to
0.96 i + 0.975 s (`audio.logmel`). The two drift apart by 0.36 s within ten seconds. So that both say the same, an
object's track is silent, exactly zero, in the second and under the example of every frame in which it does not count as
sounding, and loud enough in what the two share where it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from auralsam2.errors import InputError
from auralsam2.media.audio_track import SoundTrack
from auralsam2.stampavs import audio
from auralsam2.stampavs.assets import Category
from auralsam2.stampavs.presets import DifficultyPreset
from auralsam2.types import AUDIO_RATE

LEVEL = 0.1
"""RMS of the loud parts of every recording, once read: -20 dB of full scale."""
AUDIBLE = 0.2
"""Share of `LEVEL` times the object's gain, -14 dB, from which a second counts as sounding."""
EXAMPLE_HOP, EXAMPLE_LENGTH = 0.96, 0.975

_LONGEST = 30.0
_RUMBLE = 60.0
_REST = 0.3
_FADE = round(0.008 * AUDIO_RATE)
_FRAME = round(0.02 * AUDIO_RATE)


@lru_cache(maxsize=128)
def read_recording(path: Path) -> np.ndarray:
    """A recording's first 30 s, mono, without rumble and the silence around it, at the common level.

    What lies below 60 Hz, hum and direct current, is taken out: models hear from 125 Hz on, and it must not count as
    sound.

    Returns:
        (n,) float32; RMS over the parts within 30 dB of the loudest 20 ms is `LEVEL`; read-only.

    Raises:
        InputError: it cannot be decoded, holds no sound, or hardly any.
    """
    with SoundTrack(path) as track:
        mono = track.read(0.0, _LONGEST).mean(axis=1)
    spectrum = np.fft.rfft(mono)
    spectrum[: round(_RUMBLE * len(mono) / AUDIO_RATE)] = 0
    mono = np.fft.irfft(spectrum, n=len(mono))
    whole = len(mono) // _FRAME * _FRAME
    power = np.square(mono[:whole].reshape(-1, _FRAME)).mean(axis=1)
    loud = np.flatnonzero(power > 1e-3 * power.max())
    if power.max() < 1e-10:
        raise InputError(f"{path}: holds no sound: remove it from the folder")
    mono = mono[loud[0] * _FRAME : (loud[-1] + 1) * _FRAME] * (LEVEL / np.sqrt(power[loud].mean()))
    mono = mono.astype(np.float32)
    # Heard over and over, some second of it must be clearly audible, rests included.
    second = np.square(np.resize(mono, len(mono) + AUDIO_RATE), dtype=np.float64).cumsum()
    if np.sqrt((second[AUDIO_RATE:] - second[:-AUDIO_RATE]).max() / AUDIO_RATE) < 1.5 * AUDIBLE * LEVEL:
        raise InputError(f"{path}: too short a sound in too much silence: remove it from the folder")
    mono.setflags(write=False)
    return mono


def play_recording(sound: np.ndarray, on: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Play a recording in the seconds that are on, from a random place, over and over.

    A run of seconds ends where the example of the next, silent second begins; see above.

    Args:
        sound: (n,) float32.
        on: (T,) bool, one a second.
        rng: draws where the recording begins and how long it rests before it is repeated.

    Returns:
        (T · 16000,) float32.
    """
    track = np.zeros(len(on) * AUDIO_RATE, dtype=np.float32)
    rest = int(rng.integers(min(round(_REST * AUDIO_RATE), len(sound))))
    loop = np.concatenate([sound, np.zeros(rest, dtype=np.float32)])
    at = int(rng.integers(len(loop))) if rng.random() < 0.5 else 0
    for begin, end in _runs(on):
        low, high = _limits(begin, end, len(on))
        index = (at + np.arange(high - low)) % len(loop)
        track[low:high] = loop[index]
        _fade(track[low:high])
        at = int(rng.integers(len(loop))) if rng.random() < 0.5 else 0
    return track


def audible_seconds(track: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Decide, by an object's own track, in which seconds it sounds, and silence it in all others.

    A second counts where the RMS of the whole second and that of its share of the model's example both reach
    `AUDIBLE` · `level`. What is left in the other seconds, such as the first breath of a cry, is removed: a second is
    either clearly heard or not at all.

    Args:
        track: (T · 16000,) float32, without the effect of its place on it.
        level: RMS that the loud parts of the track have.

    Returns:
        (T,) bool, and the track, (T · 16000,) float32.
    """
    seconds = len(track) // AUDIO_RATE
    sounding = np.ones(seconds, dtype=bool)
    while True:
        kept = np.zeros_like(track)
        for begin, end in _runs(sounding):
            low, high = _limits(begin, end, seconds)
            kept[low:high] = track[low:high]
            if low and track[low - 1]:
                kept[low : low + _FADE] *= _RAMP
            if high < len(track) and track[high]:
                kept[high - _FADE : high] *= _RAMP[::-1]
        heard = sounding & np.array([_loudness(kept, second) >= AUDIBLE * level for second in range(seconds)])
        if (heard == sounding).all():
            return sounding, kept
        sounding = heard


def pan_stereo(track: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Place a track between left and right, with constant power.

    The gains are cos(x π / 2) and sin(x π / 2); between the middles of the seconds, where the frames are taken, x moves
    evenly.

    Args:
        track: (T · 16000,) float32.
        places: (T,) x of the object at each frame, 0 at the left edge of the picture, 1 at the right one; clipped.

    Returns:
        (T · 16000, 2) float32.
    """
    times = np.arange(len(track)) / AUDIO_RATE
    x = np.interp(times, np.arange(len(places)) + 0.5, np.clip(places, 0.0, 1.0))
    angle = (x * (np.pi / 2)).astype(np.float32)
    return track[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def draw_noise(seconds: int, level: float, rng: np.random.Generator) -> np.ndarray:
    """Steady noise without a place: both sides differ; white, pink or brown by chance.

    Args:
        seconds: length.
        level: RMS, full scale 1.
        rng: draws colour and samples.

    Returns:
        (seconds · 16000, 2) float32.
    """
    count = seconds * AUDIO_RATE
    slope = float(rng.choice([0.0, 0.5, 1.0]))
    spectrum = np.fft.rfft(rng.standard_normal((2, count)), axis=1)
    frequency = np.maximum(np.fft.rfftfreq(count, 1 / AUDIO_RATE), 30.0)
    shaped = np.fft.irfft(spectrum * frequency**-slope, n=count, axis=1).T
    return (shaped * (level / np.sqrt(np.square(shaped).mean()))).astype(np.float32)


_RAMP = np.linspace(0.0, 1.0, _FADE, dtype=np.float32)


def _fade(piece: np.ndarray) -> None:
    """Open and close a piece without a click, in place."""
    piece[:_FADE] *= _RAMP
    piece[-_FADE:] *= _RAMP[::-1]


def _runs(on: np.ndarray) -> list[tuple[int, int]]:
    """First and last + 1 of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def _limits(begin: int, end: int, seconds: int) -> tuple[int, int]:
    """Samples of a run of seconds; it ends with the clip, or where the next second's example begins."""
    return begin * AUDIO_RATE, round((end if end == seconds else EXAMPLE_HOP * end) * AUDIO_RATE)


def _loudness(track: np.ndarray, second: int) -> float:
    """RMS over a second, or over what it shares with its example, whichever is less."""
    shared = min(second + 1.0, EXAMPLE_HOP * second + EXAMPLE_LENGTH)
    spans = [track[second * AUDIO_RATE : round(until * AUDIO_RATE)] for until in (second + 1.0, shared)]
    return min(float(np.sqrt(np.square(span, dtype=np.float64).mean())) for span in spans)


@dataclass(frozen=True, kw_only=True)
class SourceTrack:
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


def draw_track(category: Category, seconds: int, mix: DifficultyPreset, rng: np.random.Generator) -> SourceTrack:
    """The sound of one thing that is heard in one second at least."""
    chosen = category.recordings[int(rng.integers(len(category.recordings)))]
    gain = float(rng.uniform(mix.gains, 0.0))
    level = audio.LEVEL * 10 ** (gain / 20)
    while True:
        on = _pattern(seconds, rng)
        played = audio.play_recording(audio.read_recording(chosen.path), on, rng)
        sounding, track = audio.audible_seconds(played * np.float32(level / audio.LEVEL), level)
        if sounding.any():
            return SourceTrack(
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


def mix_tracks_down(
    kind: str,
    mix: DifficultyPreset,
    seconds: int,
    placed: list[tuple[SourceTrack | None, np.ndarray]],
    away: list[SourceTrack],
    rng: np.random.Generator,
) -> np.ndarray:
    """All sounds together, (T · 16000, 2) float32, turned down as a whole where they would exceed full scale."""
    total = np.zeros((seconds * AUDIO_RATE, 2), dtype=np.float32)
    for track, pan in placed:
        if track:
            total += audio.pan_stereo(track.samples, pan)
    for track in away:
        total += audio.pan_stereo(track.samples, np.full(seconds, rng.choice([0.0, 1.0, rng.random()])))
    if kind == "noise":
        total += audio.draw_noise(seconds, 10 ** (rng.uniform(-32, -16) / 20), rng)
    if mix.hiss:
        total += audio.draw_noise(seconds, 10 ** (rng.uniform(*mix.hiss) / 20), rng)
    return total / max(1.0, float(np.abs(total).max()) / 0.99)
