"""Changes that another recording of a sound would have."""

from __future__ import annotations

import numpy as np

from auralsam2.types import AUDIO_RATE

_KNOTS, _GAIN = 7, 8.0
"""Number of frequencies of the equaliser, and its largest gain in dB."""
_LOW_PASS_PROB, _LOW_PASS = 0.25, (2500.0, 7000.0)
_ROOM_PROB, _DECAY, _WET = 0.3, (0.1, 0.6), (0.1, 0.6)
"""Probability of a room, its reverberation time RT60 in seconds, and the energy of the reverberation."""


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
