"""Golden tests of the audio encoder: audio_frontend.npz, made by the released front end and VGGish."""

import numpy as np
import pytest
import torch

from auralsam2.modeling.log_mel import EXAMPLE_SAMPLES, log_mel_example, log_mel_examples
from helpers.rule_weights import assert_close, golden, samples, wave
from helpers.small_networks import rule_audio_encoder

MEL = 1e-5
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def vggish() -> torch.nn.Module:
    return rule_audio_encoder()


@pytest.mark.parametrize("seconds", [5, 10])
def test_log_mel_of_a_whole_track(seconds: int) -> None:
    expected = golden("audio_frontend")[f"mel_{seconds}s"]
    assert_close(log_mel_examples(samples(wave(seconds, f"wave_{seconds}s"))), expected, MEL)


def test_short_track_repeats_its_last_example() -> None:
    mel = log_mel_examples(samples(wave(3, "wave_3s")))
    assert tuple(mel.shape) == tuple(golden("audio_frontend")["mel_3s_shape"])
    assert_close(mel[1:5], golden("audio_frontend")["mel_3s"], MEL)
    assert torch.equal(mel[2], mel[4])


def test_mono_track_in_both_channels() -> None:
    left = samples(wave(5, "wave_mono_5s"))[:, :1]
    mel = log_mel_examples(left.expand(-1, 2))
    assert_close(mel[:, :1], golden("audio_frontend")["mel_mono_5s"], MEL)
    assert torch.equal(mel[:, 0], mel[:, 1])


def test_one_example_equals_the_same_second_of_the_track() -> None:
    sound = samples(wave(5, "wave_5s"))
    for i in (0, 3):
        begin = round(0.96 * i * 16_000)
        assert_close(
            log_mel_example(sound[begin : begin + EXAMPLE_SAMPLES]), golden("audio_frontend")["mel_5s"][i], MEL
        )


@pytest.mark.parametrize("seconds", [5, 10])
def test_vggish(vggish: torch.nn.Module, seconds: int) -> None:
    archive = golden("audio_frontend")
    with torch.inference_mode():
        tokens = vggish(torch.from_numpy(archive[f"mel_{seconds}s"]))
    expected = np.concatenate([archive[f"vgg_{seconds}s_left"], archive[f"vgg_{seconds}s_right"]], axis=1)
    assert_close(tokens, expected, 1e-4)


@pytest.mark.parametrize("shape", [(EXAMPLE_SAMPLES, 1), (EXAMPLE_SAMPLES - 1, 2), (2, EXAMPLE_SAMPLES)])
def test_wrong_shapes_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="15600"):
        log_mel_example(torch.zeros(shape))
    if shape[1] != 2 or shape[0] < EXAMPLE_SAMPLES:
        with pytest.raises(ValueError, match="15600"):
            log_mel_examples(torch.zeros(shape))
