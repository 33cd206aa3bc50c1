"""From any sample rate to 16 kHz, piece by piece.

The filter is the windowed sinc of `resampy`'s `kaiser_best`, with which the published models were trained. FFmpeg's own
resampler can be tuned towards it, but keeps apart by 0.023 in the log-mel where 0.001 is wanted (its window is measured
in whole taps after the cutoff), and mirrors the sound at both ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import gcd

import numpy as np

from auralsam2.types import AUDIO_RATE

MAX_RATE = 768_000
"""Samples per second of the fastest sound that is read: more is a damaged header."""

_ZEROS = 50
_PRECISION = 8192
_BETA = 12.984585247040012
_ROLLOFF = 0.9173473712608761
_BLOCK = 4096


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """Resample a whole piece of sound to 16 kHz stereo; silence is assumed around it.

    Args:
        samples: (N,) or (N, 1) mono, copied to both sides, or (N, 2); floating point.
        rate: its samples per second, 1 to 768000.

    Returns:
        (M, 2) float32, M = N · 16000 / rate rounded down.

    Raises:
        ValueError: another shape or rate.
    """
    samples = np.asarray(samples, dtype=np.float32)
    if samples.ndim == 1:
        samples = samples[:, None]
    if samples.ndim != 2 or samples.shape[1] not in (1, 2):
        raise ValueError(f"samples of shape {samples.shape}: give (N,), (N, 1) or (N, 2)")
    resampler = Resampler(rate, 0)
    pieces = [*resampler.push(np.broadcast_to(samples, (len(samples), 2))), *resampler.finish()]
    whole = np.concatenate(pieces) if pieces else np.zeros((0, 2), dtype=np.float32)
    return whole[: len(samples) * AUDIO_RATE // rate]


class Resampler:
    """Resamples one unbroken run of sound; the result doesn't depend on how the run is cut into pieces.

    Positions count from 0 s: input sample i is at i / rate, output sample n at n / 16000 seconds.

    Args:
        rate: samples per second of the input.
        first: position of the first input sample.

    Attributes:
        start: position of the first output sample: the first that is not earlier than the first input sample.
    """

    def __init__(self, rate: int, first: int) -> None:
        if not 0 < rate <= MAX_RATE:
            raise ValueError(f"{rate} samples per second: give a rate from 1 to {MAX_RATE}")
        divisor = gcd(rate, AUDIO_RATE)
        self._up = AUDIO_RATE // divisor
        self._down = rate // divisor
        self._half = _half_width(self._up, self._down)
        self._end = first
        self._next = self.start = -(-first * self._up // self._down)
        # Silence before the first sample, as far back as the filter reaches.
        self._kept = np.zeros((self._half, 2), dtype=np.float32)
        self._kept_from = first - self._half

    def push(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        """Add input (N, 2) float32; yield the output (M, 2) float32 that it completes, in pieces."""
        self._end += len(samples)
        if self._up == self._down:
            self._next += len(samples)
            if len(samples):
                yield np.array(samples, dtype=np.float32)
            return
        self._kept = np.concatenate([self._kept, samples])
        yield from self._outputs(-((self._half - self._end) * self._up // self._down))

    def finish(self) -> Iterator[np.ndarray]:
        """End the run; yield the rest of the output, which ends where the input ends."""
        self._kept = np.concatenate([self._kept, np.zeros((self._half + 1, 2), dtype=np.float32)])
        yield from self._outputs(-(-self._end * self._up // self._down))

    def _outputs(self, until: int) -> Iterator[np.ndarray]:
        """Yield the outputs from the next up to position `until`, in blocks, and forget spent input."""
        weights = _weights(self._up, self._down)
        taps = weights.shape[1]
        while self._next < until:
            numbers = np.arange(self._next, min(until, self._next + _BLOCK), dtype=np.int64) * self._down
            begins = numbers // self._up - (self._half - 1) - self._kept_from
            windows = np.lib.stride_tricks.sliding_window_view(self._kept, taps, axis=0)[begins]
            yield np.einsum("nct,nt->nc", windows, weights[numbers % self._up])
            self._next += len(numbers)
        spent = self._next * self._down // self._up - (self._half - 1) - self._kept_from
        if spent > 0:
            self._kept = self._kept[spent:].copy()
            self._kept_from += spent


def _step(up: int, down: int) -> int:
    """Table entries from one tap to the next. `resampy` rounds it down, which moves samples by up to 1e-3: so do we."""
    return int(min(1.0, up / down) * _PRECISION)


def _half_width(up: int, down: int) -> int:
    """Input samples to which the filter reaches on either side."""
    return -(-_ZEROS * _PRECISION // _step(up, down))


@lru_cache(maxsize=1)
def _half_filter() -> np.ndarray:
    """The right half of the windowed sinc, (50 · 8192 + 1,) float64: 8192 entries from zero to zero of the sinc."""
    entries = np.arange(_ZEROS * _PRECISION + 1) / _PRECISION
    window = np.i0(_BETA * np.sqrt(1 - (entries / _ZEROS) ** 2)) / np.i0(_BETA)
    return _ROLLOFF * np.sinc(_ROLLOFF * entries) * window


@lru_cache(maxsize=2)
def _weights(up: int, down: int) -> np.ndarray:
    """The filter, one row for each of the `up` places that an output can have between two input samples.

    Row p serves the outputs at position k + p / up, k whole; its columns are the inputs k - half + 1 … k + half.

    Returns:
        (up, 2 · half) float32.
    """
    half = _half_width(up, down)
    scale = min(1.0, up / down)
    table = _half_filter()
    entries = np.arange(len(table), dtype=np.float64)
    taps = np.arange(half) * _step(up, down)
    weights = np.empty((up, 2 * half), dtype=np.float32)
    for phase in range(up):
        before = phase / up * scale * _PRECISION
        after = scale * _PRECISION - before
        weights[phase, :half] = np.interp((before + taps)[::-1], entries, table, right=0.0)
        weights[phase, half:] = np.interp(after + taps, entries, table, right=0.0)
    return weights * np.float32(scale)
