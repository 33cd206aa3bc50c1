"""From paths to tensors: frames, labels at the model's size, sound as the released models hear it."""

from __future__ import annotations

import dataclasses
import wave
from contextlib import suppress

import numpy as np
import pytest
import torch
from PIL import Image

import helpers.dataset_trees
from auralsam2.data import open_dataset
from auralsam2.data.audio import mix_tracks, read_sound, read_track
from auralsam2.data.images import read_frame, read_grey, read_pixel_values
from auralsam2.data.load import align_to_frames, load_clip
from auralsam2.data.sample import AudioMix, AudioSource
from auralsam2.errors import InputError
from auralsam2.media.resampler import resample
from auralsam2.modeling.log_mel import log_mel_examples
from helpers.media_files import tone

S = 20


def nearest(mask: np.ndarray, size: int) -> np.ndarray:
    """The pixel under the middle of each target pixel."""
    rows = ((np.arange(size) + 0.5) * mask.shape[0] / size).astype(int)
    columns = ((np.arange(size) + 0.5) * mask.shape[1] / size).astype(int)
    return mask[rows][:, columns]


@pytest.fixture
def stamp(tmp_path):
    root = helpers.dataset_trees.write_stampavs(tmp_path / "stamp")
    return open_dataset("stampavs", root).listing("train").samples[0]


def test_a_clip(stamp):
    clip = load_clip(stamp, S)
    assert clip.sample is stamp
    assert [frame.shape for frame in clip.frames] == [(27, 35, 3)] * 5
    assert all(frame.dtype == np.uint8 for frame in clip.frames)
    assert clip.log_mel.shape == (5, 2, 96, 64)
    assert clip.log_mel.dtype == torch.float32
    assert clip.labels.dtype == torch.bool
    assert clip.classes is None
    assert clip.supervised.tolist() == [True] * 5
    for number in range(5):
        assert (clip.labels[number].numpy() == nearest(helpers.dataset_trees.rectangle(number), S)).all()


def test_frames_are_rgb(stamp):
    red = load_clip(stamp, S).frames[0][helpers.dataset_trees.rectangle(0)].mean(axis=0)
    assert red[0] > 150 > red[1]


def test_frames_without_supervision_have_no_label(tmp_path):
    root = helpers.dataset_trees.write_avsbench(tmp_path)
    clip = load_clip(open_dataset("v1s", root).listing("train").samples[0], S)
    assert clip.supervised.tolist() == [True, False, False, False, False]
    assert clip.labels.flatten(1).any(dim=1).tolist() == [True, False, False, False, False]


def test_binary_and_semantic_labels_of_the_same_files(tmp_path):
    root = helpers.dataset_trees.write_avsbench(tmp_path)
    binary = load_clip(open_dataset("v2", root).listing("test").samples[-1], S)
    semantic = load_clip(open_dataset("v2-semantic", root).listing("test").samples[-1], S)
    assert binary.classes is None
    assert semantic.classes is not None
    assert semantic.classes.dtype == torch.uint8
    assert (binary.labels == semantic.labels).all()
    assert (semantic.labels == (semantic.classes > 0)).all()
    expected = np.zeros((27, 35), dtype=np.uint8)
    expected[helpers.dataset_trees.rectangle(3, place=1)] = helpers.dataset_trees.GUITAR
    expected[helpers.dataset_trees.rectangle(3)] = helpers.dataset_trees.DOG
    assert (semantic.classes[3].numpy() == nearest(expected, S)).all()


def test_null_rows_have_an_empty_mask(tmp_path):
    root = helpers.dataset_trees.write_ref_avs(tmp_path)
    for sample in open_dataset("ref-avs", root).listing("null").samples:
        clip = load_clip(sample, S)
        assert not clip.labels.any()
        assert clip.supervised.all()


def test_several_masks_of_a_frame_are_united(tmp_path, stamp):
    first, second = ((paths[0],) for paths in stamp.objects)
    both = dataclasses.replace(stamp, labels=((*first, *second), *stamp.labels[1:]))
    expected = nearest(helpers.dataset_trees.rectangle(0) | helpers.dataset_trees.rectangle(0, place=1), S)
    assert (load_clip(both, S).labels[0].numpy() == expected).all()


def test_vpo_has_classes_and_pixels_to_ignore(tmp_path):
    root = helpers.dataset_trees.write_vpo(tmp_path)
    clip = load_clip(open_dataset("vpo-ms", root).listing("test").samples[0], 27)
    assert clip.classes is not None
    assert sorted(set(clip.classes.flatten().tolist())) == [0, 2, 6, 255]
    assert clip.classes[0, 0, 0] == 255
    assert not clip.labels[0, 0, 0]
    assert clip.labels.sum() == ((clip.classes > 0) & (clip.classes < 255)).sum()


@pytest.mark.parametrize("mode", ["1", "L", "L of 1", "P", "RGB", "I;16"])
def test_whatever_is_not_zero_is_the_object(tmp_path, mode):
    mask = helpers.dataset_trees.rectangle(0)
    picture = Image.fromarray(mask.astype(np.uint8) * (1 if mode == "L of 1" else 255))
    if mode == "1":
        picture = Image.fromarray(mask)
    elif mode == "P":
        picture = Image.fromarray(mask.astype(np.uint8))
        picture.putpalette([0, 0, 0, 128, 0, 0])
    elif mode == "RGB":
        picture = Image.fromarray(mask[..., None] * np.array([0, 0, 128], dtype=np.uint8))
    elif mode == "I;16":
        picture = Image.fromarray(mask.astype(np.uint16) * 300)
    picture.save(tmp_path / "label.png")
    assert Image.open(tmp_path / "label.png").mode == mode.split()[0]
    assert ((read_grey(tmp_path / "label.png") > 0) == mask).all()


def test_values_are_read_past_the_palette(tmp_path):
    picture = Image.fromarray(np.array([[0, 18]], dtype=np.uint8))
    picture.putpalette([9] * 768)
    picture.save(tmp_path / "label.png")
    assert read_pixel_values(tmp_path / "label.png").tolist() == [[0, 18]]
    Image.new("RGB", (2, 2)).save(tmp_path / "rgb.png")
    with pytest.raises(InputError, match=r"rgb\.png: pixels of mode RGB, a label has one channel"):
        read_pixel_values(tmp_path / "rgb.png")


@pytest.mark.parametrize("name", ["frame.jpg", "label.png"])
def test_a_picture_that_ends_too_soon_is_told_wherever_it_ends(tmp_path, name):
    path = helpers.dataset_trees.write_picture(tmp_path / name, helpers.dataset_trees.frame(0))
    whole = path.read_bytes()
    for length in range(0, len(whole) - 20, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=f"{name}: not a picture, or damaged"):
            read_frame(path)


def test_flipped_bytes_never_escape_as_another_error(tmp_path):
    path = helpers.dataset_trees.write_picture(tmp_path / "label.png", helpers.dataset_trees.rectangle(0))
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with suppress(InputError):
            read_grey(path)


def test_a_missing_picture(tmp_path):
    with pytest.raises(InputError, match=r"0\.png: not a picture, or damaged \(No such file"):
        read_grey(tmp_path / "0.png")


def test_an_unreadable_file_is_told_with_the_sample_and_its_line(stamp):
    stamp.frames[2].write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"^stampavs train_00000, line 2 of the csv: .*frames/2\.jpg: not a picture"):
        load_clip(stamp, S)


def test_sound_at_16_khz_is_heard_as_stored(tmp_path):
    helpers.dataset_trees.write_wav(tmp_path / "a.wav", 5)
    exact = torch.from_numpy(tone(5.0).astype(np.float32) / 32768)
    assert (torch.from_numpy(read_track(tmp_path / "a.wav").resampled()) == exact).all()


def test_the_log_mel_of_a_clip_is_that_of_its_samples(stamp):
    exact = log_mel_examples(torch.from_numpy(tone(5.0).astype(np.float32) / 32768))
    assert (load_clip(stamp, S).log_mel == exact).all()


def test_left_and_right_stay_apart(tmp_path):
    sides = np.stack([tone(5.0)[:, 0], tone(5.0, frequency=1000.0)[:, 0]], axis=1)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(sides.astype("<i2").tobytes())
    assert (read_track(tmp_path / "a.wav").resampled() == sides.astype(np.float32) / 32768).all()


@pytest.mark.parametrize("rate", [44_100, 48_000, 8_000])
def test_other_rates_are_resampled_as_for_the_released_models(tmp_path, rate):
    helpers.dataset_trees.write_wav(tmp_path / "a.wav", 2, rate=rate)
    exact = resample(tone(2.0, rate).astype(np.float32) / 32768, rate)
    track = read_track(tmp_path / "a.wav")
    assert (track.resampled() == exact).all()
    assert track.length == len(exact) == 32_000


def test_mono_is_heard_on_both_sides(tmp_path):
    helpers.dataset_trees.write_wav(tmp_path / "a.wav", 1, channels=1)
    samples = read_track(tmp_path / "a.wav").resampled()
    assert samples.shape == (16_000, 2)
    assert (samples[:, 0] == samples[:, 1]).all()
    assert (samples[:, 0] == tone(1.0)[:, 0].astype(np.float32) / 32768).all()


@pytest.mark.parametrize(
    ("first", "frames", "numbers"),
    [(0, 9, range(9)), (0, 5, range(5)), (0, 11, [*range(9), 8, 8]), (1, 1, [1]), (8, 3, [8, 8, 8])],
)
def test_one_example_a_frame(first, frames, numbers):
    log_mel = torch.arange(9.0)[:, None, None, None].expand(9, 2, 96, 64)
    assert align_to_frames(log_mel, first, frames)[:, 0, 0, 0].tolist() == list(numbers)


def test_a_sound_that_is_a_little_short_repeats_its_last_example(tmp_path):
    """153 840 samples are needed for ten examples."""
    sample = (
        open_dataset("ref-avs", helpers.dataset_trees.write_ref_avs(tmp_path, seconds=9.6)).listing("seen").samples[0]
    )
    log_mel = load_clip(sample, S).log_mel
    assert len(log_mel) == 10
    assert (log_mel[9] == log_mel[8]).all()
    assert (log_mel[8] != log_mel[7]).any()


def test_a_still_picture_has_the_example_that_its_data_set_says(tmp_path):
    sample = (
        open_dataset("avs-synthetic", helpers.dataset_trees.write_avs_synthetic(tmp_path)).listing("test").samples[0]
    )
    whole = log_mel_examples(torch.from_numpy(read_sound(sample)))
    assert (load_clip(sample, S).log_mel == whole[1:2]).all()


@pytest.mark.parametrize("seconds", [0.5, 0.974])
def test_too_little_sound_for_one_example(stamp, seconds):
    helpers.dataset_trees.write_wav(stamp.audio, seconds)
    with pytest.raises(InputError, match=r"audio\.wav: 0\.\d+ s of sound, hearing takes 0\.975 at least"):
        load_clip(stamp, S)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a sound at all" * 100])
def test_sounds_that_cannot_be_read(stamp, content):
    stamp.audio.write_bytes(content)
    with pytest.raises(InputError, match=r"line 2 of the csv: .*audio\.wav"):
        load_clip(stamp, S)


def test_a_sound_that_is_far_too_long(tmp_path):
    helpers.dataset_trees.write_wav(tmp_path / "a.wav", 121, channels=1)
    with pytest.raises(InputError, match="more than 120 s of sound"):
        read_track(tmp_path / "a.wav")


def voice(position):
    return AudioSource(path=helpers.dataset_trees.Path("x.wav"), position=position)


def test_sources_are_panned_and_summed():
    first = np.tile(np.array([[0.5, 0.1]], dtype=np.float32), (48_000, 1))
    second = np.full((48_000, 2), 0.8, dtype=np.float32)
    mix = mix_tracks([(first, voice(0.25)), (second, voice(1.0))])
    assert mix.shape == (48_000, 2)
    np.testing.assert_allclose(mix, np.tile([[0.75 * 0.3, 0.25 * 0.3 + 0.8]], (48_000, 1)), atol=1e-6)


def test_the_middle_of_a_long_source_and_all_of_a_short_one():
    ramp = np.repeat(np.arange(160_000, dtype=np.float32)[:, None], 2, axis=1)
    assert (mix_tracks([(ramp, voice(0.0))])[:, 0] == np.arange(56_000, 104_000)).all()
    short = mix_tracks([(ramp[:20_000], voice(0.0))])[:, 0]
    assert (short == np.tile(np.arange(20_000), 3)[:48_000]).all()


def test_a_mix_of_files(tmp_path):
    root = helpers.dataset_trees.write_vpo(tmp_path)
    sample = open_dataset("vpo-ms", root).listing("test").samples[0]
    assert isinstance(sample.audio, AudioMix)
    sources = [(read_track(each.path).resampled(), each) for each in sample.audio.voices]
    sound = read_sound(sample)
    assert (sound == mix_tracks(sources)).all()
    assert np.abs(sound[:, 0]).max() > 0.4  # of the baby, all left
    assert (load_clip(sample, S).log_mel == log_mel_examples(torch.from_numpy(sound))[1:2]).all()


def test_a_source_without_sound(tmp_path):
    with pytest.raises(InputError, match=r"x\.wav: no sound in it"):
        mix_tracks([(np.zeros((0, 2), dtype=np.float32), voice(0.5))])
