"""Audio of objects and scenes, and the seconds in which each object sounds.

Frame i covers the second [i, i + 1). Its log-mel example covers 0.96 i to 0.96 i + 0.975 s (`modeling.log_mel`), which
drifts apart from the second by 0.36 s within ten seconds. Labels are therefore conservative. In every frame without
sound, the track of an object is exactly zero in the second and in the example. In every frame with sound, it is loud
enough in the part that both share.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from auralsam2.errors import InputError
from auralsam2.media.audio_track import SoundTrack
from auralsam2.stampavs.assets import Category
from auralsam2.stampavs.presets import DifficultyPreset
from auralsam2.types import AUDIO_RATE

LEVEL = 0.1
"""RMS of the loud parts of every recording after reading: -20 dB of full scale."""
AUDIBLE = 0.2
"""Minimum RMS of a sounding second, as a share of `LEVEL` times the object's gain: -14 dB."""
EXAMPLE_HOP, EXAMPLE_LENGTH = 0.96, 0.975

_MAX_SECONDS = 30.0
_MIN_FREQUENCY = 60.0
_MAX_PAUSE = 0.3
_FADE = round(0.008 * AUDIO_RATE)
_FRAME = round(0.02 * AUDIO_RATE)


@lru_cache(maxsize=1024)
def read_recording(path: Path) -> np.ndarray:
    """Read the first 30 s of a recording, mono, without low frequencies and surrounding silence, at `LEVEL`.

    Frequencies below 60 Hz are removed, since models use those from 125 Hz.

    Returns:
        (n,) float32, read-only; the RMS over the parts within 30 dB of the loudest 20 ms is `LEVEL`.

    Raises:
        InputError: it cannot be decoded, or has no sound or too little.
    """
    with SoundTrack(path) as track:
        mono = track.read(0.0, _MAX_SECONDS).mean(axis=1)
    spectrum = np.fft.rfft(mono)
    spectrum[: round(_MIN_FREQUENCY * len(mono) / AUDIO_RATE)] = 0
    mono = np.fft.irfft(spectrum, n=len(mono))
    length = len(mono) // _FRAME * _FRAME
    power = np.square(mono[:length].reshape(-1, _FRAME)).mean(axis=1)
    loud = np.flatnonzero(power > 1e-3 * power.max())
    if power.max() < 1e-10:
        raise InputError(f"{path}: holds no sound: remove it from the folder")
    mono = mono[loud[0] * _FRAME : (loud[-1] + 1) * _FRAME] * (LEVEL / np.sqrt(power[loud].mean()))
    mono = mono.astype(np.float32)
    # Repeated in a loop, pauses included, the recording must have a clearly audible second.
    energy = np.square(np.resize(mono, len(mono) + AUDIO_RATE), dtype=np.float64).cumsum()
    if np.sqrt((energy[AUDIO_RATE:] - energy[:-AUDIO_RATE]).max() / AUDIO_RATE) < 1.5 * AUDIBLE * LEVEL:
        raise InputError(f"{path}: too short a sound in too much silence: remove it from the folder")
    mono.setflags(write=False)
    return mono


def play_recording(sound: np.ndarray, active: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Play a recording (n,) in a loop in the active seconds (T,), from a random position: (T · 16000,) float32.

    A run of seconds ends at the start of the next silent second's example; see the module's description.
    """
    track = np.zeros(len(active) * AUDIO_RATE, dtype=np.float32)
    pause = int(rng.integers(min(round(_MAX_PAUSE * AUDIO_RATE), len(sound))))
    loop = np.concatenate([sound, np.zeros(pause, dtype=np.float32)])
    position = int(rng.integers(len(loop))) if rng.random() < 0.5 else 0
    for begin, end in _runs(active):
        low, high = _sample_range(begin, end, len(active))
        index = (position + np.arange(high - low)) % len(loop)
        track[low:high] = loop[index]
        _fade(track[low:high])
        position = int(rng.integers(len(loop))) if rng.random() < 0.5 else 0
    return track


def audible_seconds(track: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Find the sounding seconds of an object by its track (T · 16000,) before panning, and silence the others.

    A second is sounding if the RMS of the second and that of its share of the example reach `AUDIBLE` · `level`. Sound
    in other seconds is removed, so that each second is either clearly audible or silent.

    Returns:
        (T,) bool, and the track, (T · 16000,) float32.
    """
    seconds = len(track) // AUDIO_RATE
    sounding = np.ones(seconds, dtype=bool)
    while True:
        silenced = np.zeros_like(track)
        for begin, end in _runs(sounding):
            low, high = _sample_range(begin, end, seconds)
            silenced[low:high] = track[low:high]
            if low and track[low - 1]:
                silenced[low : low + _FADE] *= _RAMP
            if high < len(track) and track[high]:
                silenced[high - _FADE : high] *= _RAMP[::-1]
        audible = sounding & np.array([_loudness(silenced, second) >= AUDIBLE * level for second in range(seconds)])
        if (audible == sounding).all():
            return sounding, silenced
        sounding = audible


def pan_stereo(track: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Pan a track (T · 16000,) between left and right with constant power: (T · 16000, 2) float32.

    The gains are cos(x π / 2) and sin(x π / 2). `positions` (T,) are the x of the object at the middle of each second,
    from 0 (left) to 1 (right); they are clipped and interpolated linearly.
    """
    times = np.arange(len(track)) / AUDIO_RATE
    x = np.interp(times, np.arange(len(positions)) + 0.5, np.clip(positions, 0.0, 1.0))
    angle = (x * (np.pi / 2)).astype(np.float32)
    return track[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def draw_noise(seconds: int, level: float, rng: np.random.Generator) -> np.ndarray:
    """Draw stationary noise of an RMS, white, pink or brown, with independent channels.

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
    piece[:_FADE] *= _RAMP
    piece[-_FADE:] *= _RAMP[::-1]


def _runs(active: np.ndarray) -> list[tuple[int, int]]:
    """Return start and end (exclusive) of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def _sample_range(begin: int, end: int, seconds: int) -> tuple[int, int]:
    """Return the samples of a run of seconds; it ends with the clip, or at the start of the next second's example."""
    return begin * AUDIO_RATE, round((end if end == seconds else EXAMPLE_HOP * end) * AUDIO_RATE)


def _loudness(track: np.ndarray, second: int) -> float:
    """Return the RMS over a second, or over its overlap with its example, whichever is less."""
    shared = min(second + 1.0, EXAMPLE_HOP * second + EXAMPLE_LENGTH)
    spans = [track[second * AUDIO_RATE : round(end * AUDIO_RATE)] for end in (second + 1.0, shared)]
    return min(float(np.sqrt(np.square(span, dtype=np.float64).mean())) for span in spans)


@dataclass(frozen=True, kw_only=True)
class SourceTrack:
    """Audio of one object, visible or not.

    Attributes:
        category, recording: name and key.
        sounding: (T,) bool, seconds with sound; see `audible_seconds`.
        level: level of the loud parts in dB of full scale.
        samples: (T · 16000,) float32, before panning.
    """

    category: str
    recording: str
    sounding: np.ndarray
    level: float
    samples: np.ndarray


def draw_track(category: Category, seconds: int, mix: DifficultyPreset, rng: np.random.Generator) -> SourceTrack:
    """Draw the audio of an object that sounds in at least one second."""
    recording = category.recordings[int(rng.integers(len(category.recordings)))]
    gain = float(rng.uniform(mix.gains, 0.0))
    level = LEVEL * 10 ** (gain / 20)
    while True:
        active = _draw_active_seconds(seconds, rng)
        played = play_recording(read_recording(recording.path), active, rng)
        sounding, track = audible_seconds(played * np.float32(level / LEVEL), level)
        if sounding.any():
            return SourceTrack(
                category=category.name,
                recording=recording.key,
                sounding=sounding,
                level=20 * float(np.log10(level)),
                samples=track,
            )


def _draw_active_seconds(seconds: int, rng: np.random.Generator) -> np.ndarray:
    """Draw active seconds, (T,) bool: a run of sound lasts three seconds on average, a pause two."""
    active = np.empty(seconds, dtype=bool)
    state = bool(rng.random() < 0.6)
    for second in range(seconds):
        active[second] = state
        state = bool(rng.random() < (0.67 if state else 0.5))
    if not active.any():
        active[int(rng.integers(seconds))] = True
    return active


def mix_tracks_down(
    kind: str,
    mix: DifficultyPreset,
    seconds: int,
    panned: list[tuple[SourceTrack | None, np.ndarray]],
    offscreen: list[SourceTrack],
    rng: np.random.Generator,
) -> np.ndarray:
    """Mix all tracks to (T · 16000, 2) float32, scaled down if they exceed full scale."""
    total = np.zeros((seconds * AUDIO_RATE, 2), dtype=np.float32)
    for track, pan in panned:
        if track:
            total += pan_stereo(track.samples, pan)
    for track in offscreen:
        total += pan_stereo(track.samples, np.full(seconds, rng.choice([0.0, 1.0, rng.random()])))
    if kind == "noise":
        total += draw_noise(seconds, 10 ** (rng.uniform(-32, -16) / 20), rng)
    if mix.hiss:
        total += draw_noise(seconds, 10 ** (rng.uniform(*mix.hiss) / 20), rng)
    return total / max(1.0, float(np.abs(total).max()) / 0.99)
