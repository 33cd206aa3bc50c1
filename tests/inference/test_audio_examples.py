"""What a frame hears: the right second, the ends of the sound, silence."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from auralsam2.errors import InputError
from auralsam2.inference.audio_examples import EXAMPLE_SECONDS, AudioExamples
from auralsam2.inference.windows import FrameTime, Window, slot_of, windows
from auralsam2.media.audio_track import SoundTrack
from auralsam2.modeling import log_mel
from helpers.media_files import numbered, write_media

RATE = 16_000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """Stereo noise, two different sides, each second of another loudness: (N, 2) int16."""
    generator = np.random.default_rng(seed)
    loudness = 500.0 * (1 + np.arange(round(seconds * RATE)) // RATE % 13)
    return (generator.uniform(-1, 1, (round(seconds * RATE), 2)) * loudness[:, None]).astype(np.int16)


def wav(path: Path, sound: np.ndarray) -> Path:
    return write_media(path, sound=sound, audio_codec="pcm_s16le")


def expected(sound: np.ndarray, begin: float) -> torch.Tensor:
    """The log-mel of the second from `begin` on, with silence where there is no sound."""
    first = round(begin * RATE)
    cut = np.zeros((log_mel.EXAMPLE_SAMPLES, 2))
    part = sound[max(first, 0) : max(first + len(cut), 0)] / 32768
    cut[max(-first, 0) : max(-first, 0) + len(part)] = part
    return log_mel.log_mel_example(torch.from_numpy(cut))


def alone(instant: float, index: int = 0) -> tuple[FrameTime, Window]:
    """A frame that is a window of its own: its sound begins half a second before it."""
    moment = FrameTime(index, instant, int(instant))
    return moment, Window((moment,), moment.slot, 1, index)


def heard(hearing: AudioExamples, instant: float, index: int = 0) -> torch.Tensor:
    return hearing.example(*alone(instant, index), 1.0).log_mel


@pytest.mark.parametrize(
    ("begin", "moved"),
    [
        (-0.5, 0.0),
        (-0.2, 0.0),
        (0.0, 0.0),
        (0.7, 0.7),
        (2.025, 2.025),
        (2.1, 2.025),
        (2.3, 2.025),
        (2.525, 2.025),
    ],
)
def test_an_example_that_sticks_out_is_moved_inside(tmp_path: Path, begin: float, moved: float) -> None:
    sound = noise(3.0)
    hearing = AudioExamples(SoundTrack(wav(tmp_path / "a.wav", sound)))
    example = hearing.example(*alone(begin + 0.5), 1.0)
    torch.testing.assert_close(example.log_mel, expected(sound, moved), atol=1e-5, rtol=0)
    assert example.audible
    hearing.close()


@pytest.mark.parametrize("begin", [2.55, 2.7, 2.95])
def test_further_out_there_is_silence(tmp_path: Path, begin: float) -> None:
    sound = noise(3.0)
    hearing = AudioExamples(SoundTrack(wav(tmp_path / "a.wav", sound)))
    example = hearing.example(*alone(begin + 0.5), 1.0)
    torch.testing.assert_close(example.log_mel, expected(sound, begin), atol=1e-5, rtol=0)
    assert float(example.log_mel[:, -1].max()) == pytest.approx(math.log(0.01), abs=1e-5)
    hearing.close()


def test_behind_the_end_nothing_is_audible(tmp_path: Path) -> None:
    hearing = AudioExamples(SoundTrack(wav(tmp_path / "a.wav", noise(1.5))))
    assert hearing.example(*alone(1.0, 0), 1.0).audible
    for index, instant in enumerate((3.5, 30.0, 500.0), 1):
        example = hearing.example(*alone(instant, index), 1.0)
        assert not example.audible
        torch.testing.assert_close(example.log_mel, torch.full((2, 96, 64), math.log(0.01)), atol=1e-5, rtol=0)
    assert hearing.any_audible
    hearing.close()


def test_sound_shorter_than_an_example_is_heard_from_its_beginning(tmp_path: Path) -> None:
    sound = noise(0.6)
    hearing = AudioExamples(SoundTrack(wav(tmp_path / "a.wav", sound)))
    for index, instant in enumerate((0.1, 0.4)):
        torch.testing.assert_close(heard(hearing, instant, index), expected(sound, 0.0), atol=1e-5, rtol=0)
    hearing.close()


@pytest.mark.parametrize(("amplitude", "audible"), [(0, False), (3, False), (4, True), (20_000, True)])
def test_audible_is_above_minus_80_decibels(tmp_path: Path, amplitude: int, audible: bool) -> None:
    sound = np.zeros((2 * RATE, 2), np.int16)
    sound[RATE, 1] = amplitude
    hearing = AudioExamples(SoundTrack(wav(tmp_path / "a.wav", sound)))
    assert not hearing.any_audible
    assert hearing.example(*alone(1.0), 1.0).audible is audible
    assert hearing.any_audible is audible
    hearing.close()


def test_without_a_file_there_is_silence() -> None:
    hearing = AudioExamples(None)
    example = hearing.example(*alone(3.0), 1.0)
    assert not example.audible
    assert hearing.damage == []
    torch.testing.assert_close(example.log_mel, torch.full((2, 96, 64), math.log(0.01)))
    hearing.close()


def test_a_window_hears_the_examples_of_the_released_code(tmp_path: Path) -> None:
    sound = noise(5.0)
    hearing = AudioExamples(SoundTrack(wav(tmp_path / "a.wav", sound)))
    (window,) = windows((FrameTime(i, i + 0.5, i) for i in range(5)), 5)
    ours = torch.stack([hearing.example(moment, window, 1.0).log_mel for moment in window.moments])
    torch.testing.assert_close(ours, log_mel.log_mel_examples(torch.from_numpy(sound / 32768)), atol=1e-5, rtol=0)
    hearing.close()


def test_sound_of_a_video_is_heard_too(tmp_path: Path) -> None:
    sound = noise(2.0)
    video = write_media(tmp_path / "a.mkv", [numbered(n) for n in range(20)], sound=sound, audio_codec="pcm_s16le")
    hearing = AudioExamples(SoundTrack(video))
    torch.testing.assert_close(heard(hearing, 0.9), expected(sound, 0.4), atol=1e-5, rtol=0)
    hearing.close()


@pytest.mark.parametrize(("fps", "seconds", "slots"), [(0.02, 400, 5), (0.5, 47, 10), (4.0, 13, 10)])
def test_all_windows_of_a_long_sound(tmp_path: Path, fps: float, seconds: int, slots: int) -> None:
    """The last window goes back over what was heard before, at any distance of the frames."""
    sound = noise(seconds)
    hearing = AudioExamples(SoundTrack(wav(tmp_path / "a.wav", sound)))
    length = max(1.0, 1 / fps)
    moments = [
        FrameTime(j, (j + 0.5) / fps, slot_of((j + 0.5) / fps, 0, length)) for j in range(math.floor(seconds * fps))
    ]
    for window in windows(iter(moments), slots):
        for clip in window.clips():
            for moment in clip:
                drift = 0.04 * (moment.slot - window.first_slot) if length == 1 else 0.0
                begin = min(max(moment.instant - 0.5 - drift, 0.0), seconds - EXAMPLE_SECONDS)
                ours = hearing.example(moment, window, length).log_mel
                torch.testing.assert_close(ours, expected(sound, begin), atol=1e-5, rtol=0)
        hearing.forget_before(window.moments[0].index)
        assert {index for index, _ in hearing._examples} <= {moment.index for moment in window.moments}
    hearing.close()


def test_what_is_forgotten_is_heard_anew(tmp_path: Path) -> None:
    hearing = AudioExamples(SoundTrack(wav(tmp_path / "a.wav", noise(6.0))))
    first = heard(hearing, 1.0)
    assert heard(hearing, 1.0) is first
    heard(hearing, 5.0, index=4)
    hearing.forget_before(4)
    assert list(hearing._examples) == [(4, 4.5)]
    again = heard(hearing, 1.0)
    assert again is not first
    assert torch.equal(again, first)
    hearing.close()


def test_it_may_start_late(tmp_path: Path) -> None:
    sound = noise(50.0)
    hearing = AudioExamples(SoundTrack(wav(tmp_path / "a.wav", sound), start=43.5))
    torch.testing.assert_close(heard(hearing, 44.1), expected(sound, 43.6), atol=1e-5, rtol=0)
    hearing.close()


def test_a_file_without_sound(tmp_path: Path) -> None:
    video = write_media(tmp_path / "a.mkv", [numbered(n) for n in range(4)])
    with pytest.raises(InputError, match="no audio track"):
        AudioExamples(SoundTrack(video))
