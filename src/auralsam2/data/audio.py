"""Audio of a sample: one track, or a mix of several."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auralsam2.data.sample import AudioMix, AudioSource, Sample
from auralsam2.errors import InputError
from auralsam2.media.audio_decoder import read_chunks
from auralsam2.media.resampler import resample
from auralsam2.media.stream_decoder import DamageLog
from auralsam2.types import AUDIO_RATE

MOST_SECONDS = 120
"""Maximum length in seconds; clips of the data sets last 1 to 10 seconds."""
MIX_SECONDS = 3
"""Seconds of each source in a mix, from its middle."""


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """Content of an audio file.

    Attributes:
        samples: (N, 2) float32 at `rate`, left and right; mono is copied to both channels.
        rate: samples per second.
        damage: times of damage in seconds.
    """

    samples: np.ndarray
    rate: int
    damage: tuple[float, ...]

    @property
    def length(self) -> int:
        """Number of samples at 16 kHz."""
        return len(self.samples) * AUDIO_RATE // self.rate

    def resampled(self) -> np.ndarray:
        """Resample to 16 kHz as the released code does: (length, 2) float32."""
        return resample(self.samples, self.rate)


def read_track(path: Path) -> AudioTrack:
    """Read an audio file.

    Raises:
        InputError: nothing of it decodes, its sample rate changes, or it is too long.
    """
    log = DamageLog(path, "sound")
    chunks = []
    for chunk in read_chunks(path, log):
        if chunk.rate != (chunks or [chunk])[0].rate:
            raise InputError(f"{path}: the sample rate changes from {chunks[0].rate} to {chunk.rate}")
        if chunk.first + len(chunk.samples) > MOST_SECONDS * chunk.rate:
            raise InputError(f"{path}: more than {MOST_SECONDS} s of sound, a clip has 10 at most")
        chunks.append(chunk)
    last = chunks[-1]
    samples = np.zeros((last.first + len(last.samples), 2), dtype=np.float32)
    for chunk in chunks:
        samples[chunk.first : chunk.first + len(chunk.samples)] = chunk.samples
    return AudioTrack(samples, last.rate, tuple(log.times))


def read_sound(sample: Sample) -> np.ndarray:
    """Read the audio of a sample.

    Returns:
        (N, 2) float32 at 16 kHz, left and right; a mix can exceed [-1, 1].

    Raises:
        InputError: a file cannot be read.
    """
    if isinstance(sample.audio, AudioMix):
        return mix_tracks([(read_track(voice.path).resampled(), voice) for voice in sample.audio.voices])
    return read_track(sample.audio).resampled()


def mix_tracks(sources: list[tuple[np.ndarray, AudioSource]]) -> np.ndarray:
    """Mix sources as VPO does: L = Σ (1 - p) w, R = Σ p w.

    w is the mean of both sides, three seconds from the middle; a shorter sound is repeated.

    Args:
        sources: (N, 2) float32 at 16 kHz each, and how to place it.

    Returns:
        (48000, 2) float32.

    Raises:
        InputError: a source has no sound at all.
    """
    length = MIX_SECONDS * AUDIO_RATE
    mix = np.zeros((length, 2), dtype=np.float32)
    for samples, voice in sources:
        if not len(samples):
            raise InputError(f"{voice.path}: no sound in it")
        wave = samples.mean(axis=1)
        begin = max(0, len(wave) // 2 - length // 2)
        wave = np.resize(wave[begin : begin + length], length)
        mix += wave[:, None] * np.array([1 - voice.position, voice.position], dtype=np.float32)
    return mix
