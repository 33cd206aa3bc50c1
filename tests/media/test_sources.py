"""Folders of pictures, arrays, streams and addresses, against the media file of the same content."""

import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from auralsam2.errors import InputError, UsageError
from auralsam2.media.audio_track import SoundTrack
from auralsam2.media.frame_reader import read_frames
from auralsam2.media.sources import frames_from, media_file
from helpers.media_files import number_of, numbered, tone, write_clip


@pytest.fixture
def noise():
    return list(np.random.default_rng(0).integers(0, 256, (6, 40, 52, 3), dtype=np.uint8))


def test_folder_of_pictures(tmp_path):
    for number in range(12):
        Image.fromarray(numbered(number)).save(tmp_path / f"{number:05d}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    frames = list(frames_from(tmp_path, rate=4))
    assert [number_of(frame.image) for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == pytest.approx([number / 4 for number in range(12)], abs=1e-4)
    assert [number_of(frame.image) for frame in frames_from(str(tmp_path), rate=4, fps=1)] == [2, 6, 10]


@pytest.mark.parametrize("form", ["array", "generator", "tensor"])
def test_arrays_come_back_without_loss(noise, form):
    source = {
        "array": np.stack(noise),
        "generator": (picture for picture in noise),
        "tensor": [torch.from_numpy(picture).permute(2, 0, 1) for picture in noise],
    }[form]
    times = [0.0, 0.1, 0.25, 1.0, 1.04, 2.0]
    frames = list(frames_from(source, times=times))
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-4)
    assert all(np.array_equal(frame.image, picture) for frame, picture in zip(frames, noise, strict=True))


@pytest.mark.parametrize("channels", [1, 2])
def test_sound_of_arrays(noise, channels):
    sound = (tone(1.5, 44_100, channels=channels) / 32_768).astype(np.float32)
    with media_file(noise, rate=5, sound=sound, sound_rate=44_100) as path, SoundTrack(path) as track:
        samples = track.read(0.0, 1.5)
        assert track.ends_before(1.5)
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.01)
    assert not path.exists()


@pytest.mark.parametrize("ending", ["ts", "mkv", "mp4"])
def test_file_object_and_address(tmp_path, ending):
    path = write_clip(tmp_path / f"clip.{ending}", 1.0)
    with read_frames(path) as reader:
        expected = [(frame.time, number_of(frame.image)) for frame in reader]
    for source in (path, io.BytesIO(path.read_bytes()), f"file://{path}"):
        assert [(frame.time, number_of(frame.image)) for frame in frames_from(source)] == expected


def test_standard_input(tmp_path):
    path = write_clip(tmp_path / "clip.ts", 1.0)
    program = "from auralsam2.media.sources import frames_from; print(len(list(frames_from('-'))))"
    with path.open("rb") as stream:
        done = subprocess.run([sys.executable, "-c", program], stdin=stream, capture_output=True, check=True)
    assert done.stdout.split() == [b"10"]


def test_arguments_that_do_not_fit(tmp_path, noise):
    clip = write_clip(tmp_path / "clip.mp4", 0.5)
    empty = tmp_path / "empty"
    empty.mkdir()
    for source, options, error, text in (
        (noise, {}, UsageError, "either `rate`, pictures per second, or `times`"),
        (noise, {"rate": 0}, UsageError, "must be above 0"),
        (noise, {"times": [0, 1, 1, 2, 3, 4]}, UsageError, "must rise"),
        ([noise[0], noise[1][:20]], {"rate": 1}, UsageError, "give one size"),
        ([noise[0].astype(float)], {"rate": 1}, UsageError, "uint8 RGB"),
        ([], {"rate": 1}, InputError, "no pictures"),
        (empty, {"rate": 1}, InputError, "no pictures in this folder"),
        (clip, {"rate": 1}, UsageError, "are for folders"),
        (3, {}, UsageError, "`path=3`: no source"),
        (f"file://{tmp_path}/missing.mp4", {}, InputError, "cannot be opened"),
        (noise, {"rate": 1, "sound": np.zeros(9)}, UsageError, "needs `sound_rate`"),
    ):
        with pytest.raises(error, match=text), media_file(source, **options):
            pass
