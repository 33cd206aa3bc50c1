from fractions import Fraction

import numpy as np
import pytest

from auralsam2.errors import InputError
from auralsam2.media.probe import probe
from helpers.media_files import corners, numbered, tone, turn, write_clip, write_media


def test_says_what_the_file_says(tmp_path):
    info = probe(write_clip(tmp_path / "clip.mp4", 2.0, rate=44_100, sound=tone(2.0, 44_100, channels=1)))
    assert (info.width, info.height, info.fps) == (64, 48, 10.0)
    assert info.duration == pytest.approx(2.0, abs=0.1)
    assert (info.audio_rate, info.audio_channels) == (44_100, 1)


def test_no_audio_track(tmp_path):
    info = probe(write_clip(tmp_path / "mute.mp4", 1.0, sound=None))
    assert (info.audio_rate, info.audio_channels) == (None, 0)


def test_sound_alone(tmp_path):
    info = probe(write_media(tmp_path / "sound.wav", sound=tone(1.5), audio_codec="pcm_s16le"))
    assert (info.width, info.height, info.fps) == (0, 0, 0.0)
    assert (info.audio_rate, info.audio_channels) == (16_000, 2)
    assert info.duration == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("matrix", "size"),
    [((1, 0, 0, 1), (64, 48)), ((0, 1, -1, 0), (48, 64)), ((-1, 0, 0, -1), (64, 48)), ((0, -1, 1, 0), (48, 64))],
)
def test_rotation_turns_the_size(tmp_path, matrix, size):
    info = probe(turn(write_clip(tmp_path / "clip.mp4", 0.5, sound=None), *matrix))
    assert (info.width, info.height) == size


def test_pixels_that_are_not_square(tmp_path):
    path = write_media(tmp_path / "wide.mp4", [corners()] * 3, aspect=Fraction(3, 2))
    assert (probe(path).width, probe(path).height) == (96, 48)
    assert (probe(turn(path, 0, 1, -1, 0)).width, probe(path).height) == (48, 96)


def test_odd_size(tmp_path):
    path = write_media(tmp_path / "odd.mkv", [numbered(1, 33, 21)] * 2, codec="ffv1", pix_fmt="yuv444p")
    assert (probe(path).width, probe(path).height) == (33, 21)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 5000, b"these are words, not a film\n" * 200], ids=["empty", "0", "text"]
)
@pytest.mark.parametrize("ending", ["mp4", "txt"])
def test_not_a_video(tmp_path, content, ending):
    path = tmp_path / f"thing.{ending}"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        probe(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_noise_is_not_a_video(tmp_path):
    path = tmp_path / "noise.mkv"
    path.write_bytes(np.random.default_rng(3).bytes(20_000))
    with pytest.raises(InputError):
        probe(path)


def test_missing_and_directory(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        probe(tmp_path / "missing.mp4")
    with pytest.raises(InputError, match="is a directory"):
        probe(tmp_path)


def test_a_list_of_other_files_is_not_followed(tmp_path):
    write_clip(tmp_path / "clip.ts", 1.0)
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError):
        probe(path)


def test_name_that_looks_like_a_protocol(tmp_path):
    path = write_clip(tmp_path / "concat:a|b 100%d.mp4", 0.5)
    assert probe(path).width == 64
