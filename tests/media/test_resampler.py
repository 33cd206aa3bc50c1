"""The resampler against `resampy` and against the sound front end of the published models."""

import zlib
from pathlib import Path

import numpy as np
import pytest
import resampy
from hypothesis import given, settings
from hypothesis import strategies as st

from auralsam2.media.resampler import Resampler, resample

GOLDEN = Path(__file__).parents[1] / "golden" / "mel_44k1.npz"


def example_sound() -> np.ndarray:
    """Five seconds of two swelling tones in noise, 44.1 kHz stereo, as 16-bit samples / 32768."""
    rate, seconds = 44_100, 5
    noise = np.random.default_rng(zlib.crc32(b"wave_44k1_5s")).standard_normal((seconds * rate, 2))
    t = np.arange(seconds * rate)[:, None] / rate
    tones = np.sin(2 * np.pi * np.array([440, 1200]) * t) * (0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * t))
    samples = np.clip(np.round(32_767 * (0.3 * tones + 0.05 * noise)), -32_768, 32_767).astype(np.int16)
    return samples.astype(np.float32) / 32_768


def log_mel(sound: np.ndarray) -> np.ndarray:
    """Log-mel of (N,) at 16 kHz, (frames, 64): 25 ms periodic Hann, 10 ms hop, 64 HTK bands from 125 to 7500 Hz."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.lib.stride_tricks.sliding_window_view(sound.astype(np.float64), 400)[::160] * window
    magnitude = np.abs(np.fft.rfft(frames, 512))
    edges = np.linspace(*(1127 * np.log(1 + np.array([125, 7500]) / 700)), 66)
    bins = 1127 * np.log(1 + np.linspace(0, 8000, 257)[:, None] / 700)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.log(magnitude @ np.maximum(0, np.minimum(rising, falling)) + 0.01)


def test_log_mel_of_resampled_sound_equals_the_published():
    """Golden values: the first two examples (96 frames of 10 ms) of the released AuralSAM2 front end, from a
    reference run of its public code on this sound, 44.1 kHz to 16 kHz by resampy 0.4.3; (2, sides, 96, 64)."""
    golden = np.load(GOLDEN)["mel_44k1_5s"]
    sound = resample(example_sound(), 44_100)
    for side in range(2):
        mel = log_mel(sound[:, side])[:192].reshape(2, 96, 64)
        assert np.abs(mel - golden[:, side]).max() < 1e-3


@pytest.mark.parametrize("rate", [8000, 11_025, 12_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000])
def test_equals_resampy(rate):
    sound = 0.3 * np.random.default_rng(rate).standard_normal((rate // 4, 2))
    expected = resampy.resample(sound, rate, 16_000, axis=0, filter="kaiser_best")
    result = resample(sound, rate)
    assert result.dtype == np.float32
    assert result.shape == expected.shape
    assert np.abs(result - expected).max() < 2e-6


@settings(max_examples=25, deadline=None)
@given(
    rate=st.sampled_from([8000, 16_000, 22_050, 44_100, 48_000]),
    first=st.integers(-100_000, 100_000),
    cuts=st.lists(st.integers(0, 2000), max_size=8),
)
def test_result_does_not_depend_on_the_cuts(rate, first, cuts):
    sound = np.random.default_rng(1).standard_normal((3000, 2)).astype(np.float32)

    def run(pieces):
        resampler = Resampler(rate, first)
        assert resampler.start == -(-first * 16_000 // rate)
        return np.concatenate([out for piece in pieces for out in resampler.push(piece)] + list(resampler.finish()))

    assert np.array_equal(run(np.split(sound, np.clip(np.cumsum(cuts), 0, 3000))), run([sound]))


def test_run_keeps_its_place_in_time():
    """A tone that begins at 1.000023 s lies on the samples where it belongs, whole at both ends."""
    rate, first = 44_100, 44_101
    t = (first + np.arange(22_050)) / rate
    resampler = Resampler(rate, first)
    sound = np.repeat(np.sin(2 * np.pi * 440 * t)[:, None], 2, axis=1).astype(np.float32)
    pieces = [*resampler.push(sound), *resampler.finish()]
    result = np.concatenate(pieces)[:, 0]
    expected = np.sin(2 * np.pi * 440 * (resampler.start + np.arange(len(result))) / 16_000)
    assert resampler.start == 16_001
    assert len(result) == 8000
    assert np.abs(result - expected)[200:-200].max() < 1e-4


def test_sixteen_kilohertz_stays_as_it_is():
    sound = np.random.default_rng(0).uniform(-1, 1, (1000, 2)).astype(np.float32)
    assert np.array_equal(resample(sound, 16_000), sound)


def test_mono_goes_to_both_sides():
    sound = np.random.default_rng(0).uniform(-1, 1, 4410).astype(np.float32)
    result = resample(sound, 44_100)
    assert result.shape == (1600, 2)
    assert np.array_equal(result[:, 0], result[:, 1])
    assert np.array_equal(result, resample(np.stack([sound, sound], axis=1), 44_100))


def test_nothing_in_nothing_out():
    assert resample(np.zeros((0, 2)), 44_100).shape == (0, 2)


@pytest.mark.parametrize(("shape", "rate"), [((10, 3), 8000), ((2, 2, 2), 8000), ((10, 2), 0), ((10, 2), 10_000_000)])
def test_senseless_arguments(shape, rate):
    with pytest.raises(ValueError, match="give"):
        resample(np.zeros(shape), rate)
