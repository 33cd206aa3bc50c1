"""Audio: seconds are clearly audible or silent, also for the front end; panning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auralsam2.errors import InputError
from auralsam2.modeling.log_mel import EXAMPLE_HOP_SECONDS, EXAMPLE_SAMPLES
from auralsam2.stampavs import audio
from auralsam2.types import AUDIO_RATE
from helpers.media_files import tone, write_media


def beep(seconds: float, *loud: tuple[float, float], level: float = audio.LEVEL) -> np.ndarray:
    """A track that sounds in the given spans of seconds."""
    track = np.zeros(round(seconds * AUDIO_RATE), dtype=np.float32)
    wave = level * np.sqrt(2) * np.sin(2 * np.pi * 500 * np.arange(len(track)) / AUDIO_RATE)
    for begin, end in loud:
        span = slice(round(begin * AUDIO_RATE), round(end * AUDIO_RATE))
        track[span] = wave[span]
    return track


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.square(samples, dtype=np.float64).mean()))


def example(track: np.ndarray, number: int) -> np.ndarray:
    """The samples under a model's log-mel example."""
    begin = round(number * EXAMPLE_HOP_SECONDS * AUDIO_RATE)
    return track[begin : begin + EXAMPLE_SAMPLES]


def test_examples_match_the_front_end():
    assert audio.EXAMPLE_HOP == EXAMPLE_HOP_SECONDS
    assert audio.EXAMPLE_LENGTH == EXAMPLE_SAMPLES / AUDIO_RATE


def test_recording_is_trimmed_and_at_the_common_level(tmp_path):
    wave = np.concatenate([np.zeros((8000, 1), np.int16), tone(1.0, channels=1) // 9, np.zeros((8000, 1), np.int16)])
    actual = audio.read_recording(write_media(tmp_path / "a.wav", sound=wave, audio_codec="pcm_s16le"))
    assert abs(len(actual) / AUDIO_RATE - 1.0) < 0.05
    assert rms(actual) == pytest.approx(audio.LEVEL, rel=0.02)


def test_low_frequencies_are_no_sound(tmp_path):
    wave = tone(1.0, frequency=440, channels=1) // 4 + tone(1.0, frequency=30, channels=1)
    actual = audio.read_recording(write_media(tmp_path / "a.wav", sound=wave, audio_codec="pcm_s16le"))
    power = np.abs(np.fft.rfft(actual)) ** 2
    assert power[np.fft.rfftfreq(len(actual), 1 / AUDIO_RATE) < 50].sum() < 0.01 * power.sum()


@pytest.mark.parametrize(("wave", "reason"), [(0 * tone(1.0), "no sound"), (tone(0.02), "too short")])
def test_recording_without_sound_is_refused(tmp_path, wave, reason):
    padded = np.concatenate([tone(0.02), 0 * tone(3.0), tone(0.02)]) if reason == "too short" else wave
    with pytest.raises(InputError, match=rf"a\.wav: .*{reason}.*remove it"):
        audio.read_recording(write_media(tmp_path / "a.wav", sound=padded, audio_codec="pcm_s16le"))


def test_recording_plays_in_active_seconds():
    on = np.array([False, True, True, False, True])
    track = audio.play_recording(beep(0.5, (0, 0.5)), on, np.random.default_rng(0))
    loud = [rms(track[second * AUDIO_RATE : (second + 1) * AUDIO_RATE]) > 0 for second in range(5)]
    assert loud == on.tolist()


@settings(deadline=None, max_examples=60)
@given(
    on=st.lists(st.booleans(), min_size=1, max_size=10),
    begin=st.floats(0, 1.5),
    length=st.floats(0.05, 2),
    seed=st.integers(0, 9),
)
def test_seconds_are_clearly_audible_or_silent(on, begin, length, seed):
    """For the second as for the example, whatever gaps the recording has."""
    piece = beep(begin + length, (begin, begin + length))
    played = audio.play_recording(piece, np.array(on), np.random.default_rng(seed))
    sounding, track = audio.audible_seconds(played)
    for second, audible in enumerate(sounding):
        full = track[second * AUDIO_RATE : (second + 1) * AUDIO_RATE]
        shared = example(track, second)[round(second * (1 - audio.EXAMPLE_HOP) * AUDIO_RATE) :]
        if audible:
            assert on[second]
            assert rms(full) >= audio.AUDIBLE * audio.LEVEL
            assert rms(shared) >= audio.AUDIBLE * audio.LEVEL * 0.999
        else:
            assert not full.any()
            assert not example(track, second).any()


def test_pause_in_a_recording_is_silent():
    sounding, _ = audio.audible_seconds(beep(5, (0, 0.7), (3.2, 4.5)))
    assert sounding.tolist() == [True, False, False, True, True]


def test_audible_seconds_depend_on_the_tracks_level():
    quiet = beep(2, (0, 1), level=0.1 * audio.LEVEL)
    assert audio.audible_seconds(quiet, 0.1 * audio.LEVEL)[0].tolist() == [True, False]
    assert not audio.audible_seconds(quiet)[0].any()


def test_sound_below_the_front_end_is_not_audible():
    """The last example of ten seconds ends at 9.615 s."""
    sounding, track = audio.audible_seconds(beep(10, (9.7, 10.0)))
    assert not sounding.any()
    assert not track.any()


def test_quiet_onset_is_removed():
    sounding, track = audio.audible_seconds(beep(3, (0.99, 2.0)))
    assert sounding.tolist() == [False, True, False]
    assert not track[:AUDIO_RATE].any()


@pytest.mark.parametrize(("x", "louder"), [(0.1, 0), (0.9, 1)])
def test_audio_comes_from_the_side_of_the_object(x, louder):
    stereo = audio.pan_stereo(beep(2, (0, 2)), np.full(2, x))
    assert rms(stereo[:, louder]) > 3 * rms(stereo[:, 1 - louder])


def test_panning_keeps_the_power_and_follows_the_object():
    track = beep(4, (0, 4))
    stereo = audio.pan_stereo(track, np.array([0.0, 0.4, 0.8, 1.0]))
    assert np.allclose(np.square(stereo).sum(axis=1), np.square(track), atol=1e-6)
    balance = [rms(part[:, 1]) / (rms(part[:, 0]) + 1e-9) for part in np.split(stereo, 8)]
    assert balance == sorted(balance)
    assert not stereo[: AUDIO_RATE // 2, 1].any()


def test_noise_has_its_level_and_no_direction():
    for seed in range(4):
        actual = audio.draw_noise(2, 0.05, np.random.default_rng(seed))
        assert rms(actual) == pytest.approx(0.05, rel=1e-3)
        assert abs(np.corrcoef(actual.T)[0, 1]) < 0.3
