"""All kinds of input: each works, or is refused with a remedy."""

from __future__ import annotations

import json
import os
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from helpers.media_files import corners, numbered, tone, turn, write_clip, write_media

SMALL = ("--save", "masks,json")


def results(folder):
    """`result.json` of a result folder, and its masks in order, (H, W) uint8."""
    result = json.loads((folder / "result.json").read_text())
    masks = [np.array(Image.open(path)) for path in sorted((folder / "masks").iterdir())]
    return result, masks


def works(segment, path, size, *arguments, times=None):
    """Segment a video that must come through, with masks of `size`, (width, height); returns its result.json."""
    outcome = segment(path, *arguments)
    assert outcome.code == 0, outcome.err
    assert not outcome.errors
    result, masks = results(path.parent / "out" / path.stem)
    assert result["input"]["size"] == list(size)
    assert masks
    assert len(masks) == len(result["frames"])
    assert all(mask.shape == (size[1], size[0]) for mask in masks)
    if times is not None:
        assert [frame["time"] for frame in result["frames"]] == pytest.approx(times, abs=2e-3)
    return result


def test_no_audio_track(segment, tmp_path):
    path = write_clip(tmp_path / "mute.mp4", sound=None)
    outcome = segment(path)
    assert outcome.code == 2
    assert outcome.error == (
        f"{path}: no audio track: add one with --audio FILE, or prompt with --text, --point, --box or --mask"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("prompt", [("--point", "30,20"), ("--box", "8,8,40,30@0.5"), ("--mask", "{mask}")])
def test_no_audio_track_but_visual_prompts(segment, tmp_path, prompt):
    label = np.zeros((48, 64), np.uint8)
    label[10:30, 20:40] = 255
    Image.fromarray(label).save(tmp_path / "mask.png")
    path = write_clip(tmp_path / "mute.mp4", sound=None)
    arguments = [argument.replace("{mask}", str(tmp_path / "mask.png")) for argument in prompt]
    result = works(segment, path, (64, 48), *arguments)
    assert result["input"]["audio_rate"] is None
    assert result["prompts"]["audio"] is None
    assert result["warnings"] == []


def test_no_audio_track_but_another_file(segment, tmp_path):
    path = write_clip(tmp_path / "mute.mp4", sound=None)
    sound = write_media(tmp_path / "sound.wav", sound=tone(2.0), audio_codec="pcm_s16le")
    result = works(segment, path, (64, 48), "--audio", sound)
    assert result["prompts"]["audio"] == str(sound)
    silent = write_media(tmp_path / "picture.mp4", [numbered(0)] * 5)
    outcome = segment(path, "--audio", silent)
    assert outcome.code == 2
    assert outcome.error == f"{silent}: no audio track"


def test_masks_depend_on_audio(segment, tmp_path):
    """Another sound gives other masks; hearing off and a click give others again."""
    path = write_clip(tmp_path / "dog.mp4")
    rng = np.random.default_rng(0)
    noise = rng.integers(-9000, 9000, (32_000, 2)).astype(np.int16)
    other = write_media(tmp_path / "noise.wav", sound=noise, audio_codec="pcm_s16le")
    scores = []
    for arguments in ((), ("--audio", other), ("--audio", "none", "--point", "30,20"), ("--point", "30,20")):
        result = works(segment, path, (64, 48), *arguments, *SMALL)
        scores.append(result["frames"][0]["object_score"])
    assert len(set(scores)) == 4
    assert result["prompts"]["points"] == [{"x": 30.0, "y": 20.0, "positive": True, "time": 0.0}]


def test_silent_audio(segment, tmp_path):
    path = write_clip(tmp_path / "silent.mp4", sound=np.zeros((32_000, 2), np.int16))
    outcome = segment(path, "--quiet")
    assert outcome.code == 0
    assert outcome.err == f"auralsam2: warning: {path}: the sound track is silent\n"
    result, _ = results(tmp_path / "out" / "silent")
    assert result["intervals"] == []
    assert not any(frame["sounding"] for frame in result["frames"])
    assert result["warnings"] == ["the sound track is silent"]


@pytest.mark.parametrize(
    ("rate", "channels", "layout"), [(8000, 1, "mono"), (48_000, 6, "5.1"), (44_100, 2, "stereo"), (22_050, 1, "mono")]
)
def test_kinds_of_sound(segment, tmp_path, rate, channels, layout):
    path = write_clip(tmp_path / "dog.mkv", sound=tone(2.0, rate, channels=channels), rate=rate, layout=layout)
    result = works(segment, path, (64, 48), times=[0.5, 1.5])
    assert result["input"]["audio_rate"] == rate
    assert result["warnings"] == []


def test_variable_frame_rate(segment, tmp_path):
    """Pictures at odd moments: the one on display at each wanted instant is taken, at its true time."""
    times = [0.0, 0.1, 0.7, 0.75, 1.45, 2.6, 2.7]
    pictures = [numbered(number) for number in range(len(times))]
    path = write_clip(tmp_path / "vfr.mp4", pictures=pictures, times=times, sound=tone(3.0))
    works(segment, path, (64, 48), *SMALL, times=[0.1, 1.45, 1.45])
    works(segment, path, (64, 48), *SMALL, "--fps", "all", times=times)


@pytest.mark.parametrize(
    ("matrix", "size"), [((0, 1, -1, 0), (48, 64)), ((-1, 0, 0, -1), (64, 48)), ((0, -1, 1, 0), (48, 64))]
)
def test_rotation(segment, tmp_path, matrix, size):
    """A turned video and the same one turned beforehand give the same masks: at the size of the display."""
    picture = corners(64, 48)
    turns = {(0, 1, -1, 0): -1, (-1, 0, 0, -1): 2, (0, -1, 1, 0): 1}
    lossless = {"codec": "libx264", "options": {"qp": "0"}, "pix_fmt": "yuv444p", "sound": tone(2.0)}
    turned = turn(write_clip(tmp_path / "turned.mp4", pictures=[picture] * 20, **lossless), *matrix)
    beforehand = np.ascontiguousarray(np.rot90(picture, turns[matrix]))
    upright = write_clip(tmp_path / "upright.mp4", pictures=[beforehand] * 20, **lossless)
    works(segment, turned, size)
    works(segment, upright, size)
    _, masks = results(tmp_path / "out" / "turned")
    _, expected = results(tmp_path / "out" / "upright")
    assert any(mask.any() and not mask.all() for mask in expected)
    for mask, wanted in zip(masks, expected, strict=True):
        assert (mask == wanted).mean() > 0.97
    if matrix != (-1, 0, 0, -1):
        outcome = segment(turned, "--point", "60,40")
        assert outcome.error == f"{turned}: prompt at 60,40 lies outside the frame of 48x64 pixels"


@pytest.mark.parametrize("size", [(33, 21), (1, 1), (17, 200), (640, 360)])
def test_sizes(segment, tmp_path, size):
    pictures = [numbered(number, *size) for number in range(20)]
    path = write_clip(tmp_path / "odd.mkv", pictures=pictures, codec="ffv1", pix_fmt="yuv444p")
    works(segment, path, size)


def test_4k(segment, tmp_path):
    path = write_clip(
        tmp_path / "large.mp4", pictures=[corners(3840, 2160)] * 2, fps=1, options={"preset": "ultrafast"}
    )
    works(segment, path, (3840, 2160))


@pytest.mark.parametrize(
    ("ending", "codec", "pix_fmt"),
    [("mkv", "libx264", "yuv420p10le"), ("mov", "png", "rgba"), ("webm", "libvpx-vp9", "yuva420p")],
)
def test_ten_bits_and_alpha(segment, tmp_path, ending, codec, pix_fmt):
    pictures = [numbered(number) for number in range(10)]
    if pix_fmt == "rgba":
        pictures = [np.dstack([picture, np.full(picture.shape[:2], 128, np.uint8)]) for picture in pictures]
    audio_codec = "libopus" if ending == "webm" else "aac"
    path = write_clip(
        tmp_path / f"dog.{ending}",
        pictures=pictures,
        codec=codec,
        pix_fmt=pix_fmt,
        sound=tone(1.0, 48_000),
        rate=48_000,
        audio_codec=audio_codec,
    )
    works(segment, path, (64, 48), times=[0.5])


def test_pixels_that_are_not_square(segment, tmp_path):
    path = write_clip(tmp_path / "wide.mp4", aspect=Fraction(2))
    result, _ = (works(segment, path, (128, 48)), None)
    assert result["frames"][0]["rle"]["size"] == [48, 128]


@pytest.mark.parametrize("seconds", [0.3, 1.4, 6.0])
def test_audio_shorter_and_longer_than_video(segment, tmp_path, seconds):
    """One mask for each second of pictures, whatever the length of the sound."""
    path = write_clip(tmp_path / "dog.mp4", 3.0, sound=tone(seconds))
    works(segment, path, (64, 48), times=[0.5, 1.5, 2.5])


def test_audio_that_starts_late(segment, tmp_path):
    path = write_clip(tmp_path / "dog.mkv", 3.0, sound=tone(1.0), sound_start=2.0)
    result = works(segment, path, (64, 48), times=[0.5, 1.5, 2.5])
    assert result["frames"][0]["sounding"] is False


def test_truncated(segment, tmp_path):
    """What can be decoded is; a warning tells the time of the damage."""
    path = write_clip(tmp_path / "cut.mp4", 6.0, container_options={"movflags": "+faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    outcome = segment(path)
    assert outcome.code == 0
    assert not outcome.errors
    result, masks = results(tmp_path / "out" / "cut")
    assert 2 <= len(masks) <= 5
    warnings = [line for line in outcome.err.splitlines() if line.startswith("auralsam2: warning: ")]
    assert warnings == [f"auralsam2: warning: {path}: {warning}" for warning in result["warnings"]]
    assert {warning.partition(" damaged at ")[0] for warning in result["warnings"]} == {"video", "sound"}
    times = [float(warning.partition(" damaged at ")[2].removesuffix(" s")) for warning in result["warnings"]]
    assert all(2.0 < time < 6.0 for time in times)


def test_truncated_before_its_index(segment, tmp_path):
    path = write_clip(tmp_path / "cut.mp4")
    path.write_bytes(path.read_bytes()[:-3000])
    outcome = segment(path)
    assert outcome.code == 2
    assert "cut.mp4: not a video or sound file, or damaged beyond repair" in outcome.error


def test_corrupt_in_the_middle(segment, tmp_path):
    pictures = list(np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), dtype=np.uint8))
    path = write_clip(tmp_path / "hole.mkv", 4.0, pictures=pictures, options={"g": "5"})
    data = bytearray(path.read_bytes())
    middle, hole = len(data) // 2, len(data) // 10
    data[middle : middle + hole] = bytes(hole)
    path.write_bytes(data)
    result = works(segment, path, (64, 48))
    assert result["warnings"][0].startswith("video damaged at ")


def test_audio_that_cannot_be_decoded(segment, tmp_path):
    """Its pictures are whole, but there is nothing to hear: refused, unless a prompt says what to look for."""
    path = write_clip(tmp_path / "dog.mkv")
    sound = write_media(tmp_path / "s.m4a", sound=tone(2.0), container_options={"movflags": "+faststart"})
    data = bytearray(sound.read_bytes())
    begin = data.index(b"mdat") + 4
    data[begin:] = b"\xff" * (len(data) - begin)
    sound.write_bytes(data)
    outcome = segment(path, "--audio", sound)
    assert outcome.code == 2
    assert f"{sound}: no sound could be decoded" in outcome.error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("empty.mp4", b"", "the file is empty"),
        ("notes.mp4", b"these are my notes\n" * 50, "not a video or sound file"),
        ("noise.mp4", np.random.default_rng(0).bytes(5000), "not a video or sound file"),
    ],
)
def test_not_a_video(segment, tmp_path, name, content, named):
    path = tmp_path / name
    path.write_bytes(content)
    outcome = segment(path)
    assert outcome.code == 2
    assert outcome.error.startswith(f"{path}: {named}")
    assert not (tmp_path / "out").exists()


def test_audio_file_is_not_a_video(segment, tmp_path):
    path = write_media(tmp_path / "song.wav", sound=tone(1.0), audio_codec="pcm_s16le")
    outcome = segment(path)
    assert outcome.code == 2
    assert outcome.error == f"{path}: no video track"


def test_missing(segment, tmp_path):
    outcome = segment(tmp_path / "gone.mp4")
    assert outcome.code == 2
    assert outcome.error == f"{tmp_path / 'gone.mp4'}: no such file"


def test_file_name_with_special_characters(segment, tmp_path):
    """Spaces, quotes, a line break, letters beyond ASCII, a percent sign."""
    path = write_clip(tmp_path / 'the "dog\'s" %d\nwörk 犬.mp4', 1.0)
    works(segment, path, (64, 48))
    path.write_bytes(b"")
    assert "the file is empty" in segment(path).error


def test_file_name_that_is_not_utf8(fork, small_model, tmp_path):
    """Any bytes are a name on Linux; `result.json` and the lines of --json stay valid."""
    source = write_clip(tmp_path / "dog.mp4", 1.0)
    path = source.rename(tmp_path / os.fsdecode(b"dog-\xff.mp4"))
    process = fork("-m", "auralsam2", "segment", path, "--model", small_model, "--json")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out)["input"] == str(path)
    assert len(err.splitlines()) == 2
    result, _ = results(tmp_path / "out" / path.stem)
    assert result["input"]["path"] == str(path)


def test_folder_of_videos(segment, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("b.mp4", "a.MKV", "c.ts", ".hidden.mp4"):
        write_clip(folder / name, 1.0)
    (folder / "notes.txt").write_text("no video")
    (folder / "deeper.mp4").mkdir()
    outcome = segment(folder, "--json", *SMALL)
    assert outcome.code == 0
    assert [line["input"] for line in outcome.lines] == [str(folder / name) for name in ("a.MKV", "b.mp4", "c.ts")]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a", "b", "c"}


def test_folder_without_videos(segment, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    outcome = segment(empty)
    assert outcome.code == 2
    assert outcome.error.startswith(f"{empty}: no videos in this folder; known endings: .264 .265")
    clip = write_clip(tmp_path / "dog.mp4", 1.0)
    outcome = segment(empty, clip, *SMALL)
    assert outcome.code == 1
    assert outcome.error.startswith(f"{empty}: no videos in this folder")
    assert (tmp_path / "out" / "dog" / "result.json").exists()


def test_two_inputs_with_the_same_name(segment, tmp_path):
    clip = write_clip(tmp_path / "dog.mp4", 1.0)
    other = write_clip(tmp_path / "dog.mkv", 1.0)
    assert segment(clip, other, *SMALL).code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"dog.mp4", "dog.mkv"}
