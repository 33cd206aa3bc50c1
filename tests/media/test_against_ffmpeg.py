"""Count, order, times and pixels of pictures against the `ffmpeg` command, for what FFmpeg can write.

Needs `ffmpeg` on the path.
"""

import numpy as np
import pytest

from auralsam2.inference.audio_examples import AudioExamples
from auralsam2.inference.windows import FrameTime, Window
from auralsam2.media.audio_track import SoundTrack
from auralsam2.media.frame_reader import read_frames
from auralsam2.media.probe import probe
from helpers.ffmpeg_frames import ffmpeg_frames
from helpers.media_files import click, number_of, numbered, tone, write_media

B_FRAMES = (
    *((ending, "libx264") for ending in ("mp4", "mov", "mkv", "flv", "avi", "ts", "m2ts", "asf", "nut", "h264")),
    *((ending, "mpeg4") for ending in ("mp4", "mkv", "avi", "asf", "nut", "ts", "m4v")),
    *((ending, "libx265") for ending in ("mp4", "mkv", "ts", "hevc")),
    *((ending, "mpeg2video") for ending in ("mkv", "avi", "ts", "mpg", "vob", "mxf", "m2v")),
    ("mpg", "mpeg1video"),
)
"""Containers and codecs, each with and without pictures out of order."""

OTHERS = (
    ("webm", "libvpx", "yuv420p"),
    ("webm", "libvpx-vp9", "yuv420p"),
    ("ivf", "libvpx-vp9", "yuv420p"),
    ("ogv", "libvpx", "yuv420p"),
    ("mp4", "libsvtav1", "yuv420p"),
    ("avi", "mjpeg", "yuvj420p"),
    ("mov", "mjpeg", "yuvj420p"),
    ("mjpeg", "mjpeg", "yuvj420p"),
    ("mov", "prores_ks", "yuv422p10le"),
    ("mov", "qtrle", "rgb24"),
    ("avi", "ffv1", "yuv420p"),
    ("avi", "huffyuv", "yuv422p"),
    ("avi", "msmpeg4v2", "yuv420p"),
    ("avi", "msmpeg4", "yuv420p"),
    ("wmv", "wmv1", "yuv420p"),
    ("wmv", "wmv2", "yuv420p"),
    ("flv", "flv", "yuv420p"),
    ("gif", "gif", "rgb8"),
    ("apng", "apng", "rgb24"),
    ("y4m", "wrapped_avframe", "yuv420p"),
)
"""Containers, codecs and pixel formats without pictures out of order."""


def codec_options(codec, b_frames=0):
    """Small groups of pictures and the fastest settings."""
    if codec == "libx265":
        parameters = f"bframes={b_frames}:b-adapt=0:keyint=8:log-level=none:pools=1"
        return {"x265-params": parameters, "preset": "ultrafast"}
    options = {"g": "8"}
    if codec in ("libx264", "mpeg4", "mpeg2video", "mpeg1video"):
        options["bf"] = str(b_frames)
    if codec == "libx264":
        options |= {"preset": "veryfast", "b_strategy": "0"}
    if codec.startswith("libvpx"):
        options |= {"deadline": "realtime", "cpu-used": "8"}
    if codec == "libsvtav1":
        options["preset"] = "13"
    return options


def same_as_ffmpeg(path):
    """Read a video and compare it with ffmpeg's pictures; returns the reader's frames and notes."""
    times, pictures = ffmpeg_frames(path)
    with read_frames(path) as reader:
        frames = list(reader)
    assert len(frames) == len(times) == len(pictures)
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-3)
    for frame, picture in zip(frames, pictures, strict=True):
        assert np.abs(frame.image.astype(int) - picture).max() <= 2
    assert reader.damage == []
    own = [frame.time for frame in frames]
    assert own == sorted(set(own))
    return frames, reader.notes


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize(("ending", "codec"), B_FRAMES)
def test_pictures_out_of_order(tmp_path, ending, codec, b_frames):
    path = tmp_path / f"clip.{ending}"
    write_media(path, [numbered(n) for n in range(16)], fps=25, codec=codec, options=codec_options(codec, b_frames))
    frames, notes = same_as_ffmpeg(path)
    assert [number_of(frame.image) for frame in frames] == list(range(16))
    assert notes == []


@pytest.mark.parametrize(("ending", "codec", "pix_fmt"), OTHERS)
def test_pictures_in_order(tmp_path, ending, codec, pix_fmt):
    path = tmp_path / f"clip.{ending}"
    write_media(
        path, [numbered(n) for n in range(12)], fps=25, codec=codec, pix_fmt=pix_fmt, options=codec_options(codec)
    )
    frames, _ = same_as_ffmpeg(path)
    if ending != "gif":
        assert [number_of(frame.image) for frame in frames] == list(range(12))


def part(path, codec, b_frames, offset=0.0, audio_codec="mp2"):
    """Bytes of a clip of 1.2 s whose clock starts at `offset` seconds."""
    return write_media(
        path,
        [numbered(n) for n in range(30)],
        fps=25,
        codec=codec,
        options=codec_options(codec, b_frames),
        sound=tone(1.2, 44_100),
        rate=44_100,
        audio_codec=audio_codec,
        container_options={"output_ts_offset": str(offset)},
    ).read_bytes()


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
@pytest.mark.parametrize(
    "offsets", [(0, 0), (0, 7200), (7200, 0), (95_442.5,)], ids=["restart", "ahead", "back", "wrap"]
)
def test_discontinuities_of_transport_streams(tmp_path, codec, b_frames, offsets):
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part(tmp_path / "part.ts", codec, b_frames, offset) for offset in offsets))
    frames, notes = same_as_ffmpeg(path)
    assert [number_of(frame.image) for frame in frames] == list(range(30)) * len(offsets)
    assert frames[-1].time < 4
    assert any("clock of the file jumps" in note for note in notes) == (len(offsets) > 1)


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("offset", [0, 3600])
def test_discontinuities_of_programme_streams(tmp_path, b_frames, offset):
    path = tmp_path / "joined.mpg"
    path.write_bytes(
        part(tmp_path / "a.mpg", "mpeg2video", b_frames) + part(tmp_path / "b.mpg", "mpeg2video", b_frames, offset)
    )
    frames, notes = same_as_ffmpeg(path)
    assert len(frames) == 60
    assert frames[-1].time < 4
    assert "clock of the file jumps" in notes[0]


@pytest.mark.parametrize("offset", [0, 7200])
def test_sound_follows_the_pictures_over_a_discontinuity(tmp_path, offset):
    """A click at 0.5 s of each part, with the picture of that moment."""

    def clip(offset):
        return write_media(
            tmp_path / "part.ts",
            [numbered(90 if n == 12 else 0) for n in range(25)],
            fps=25,
            sound=click(1.0, 0.48, 48_000),
            rate=48_000,
            audio_codec="mp2",
            options=codec_options("libx264"),
            container_options={"output_ts_offset": str(offset)},
        ).read_bytes()

    path = tmp_path / "joined.ts"
    path.write_bytes(clip(0) + clip(offset))
    with read_frames(path) as reader:
        frames = list(reader)
    flashes = [frame.time for frame in frames if number_of(frame.image) == 90]
    with SoundTrack(path) as track:
        sound = np.abs(track.read(0.0, 5.0)).max(axis=1) > 0.2
    loud = np.flatnonzero(sound) / 16_000
    clicks = [loud[0], *(loud[1:][np.diff(loud) > 0.3])]
    assert len(flashes) == len(clicks) == 2
    assert clicks == pytest.approx(flashes, abs=0.05)
    assert probe(path).duration == pytest.approx(frames[-1].time, abs=0.2)


def test_sound_and_pictures_of_joined_flash_videos(tmp_path):
    """FFmpeg defines no discontinuities for FLV; both streams continue without a gap."""
    clip = part(tmp_path / "part.flv", "libx264", 2, audio_codec="mp3")
    path = tmp_path / "joined.flv"
    path.write_bytes(clip + clip[13:])
    with read_frames(path) as reader:
        frames = list(reader)
    assert [number_of(frame.image) for frame in frames] == list(range(30)) * 2
    assert frames[-1].time == pytest.approx(2.4, abs=0.1)
    assert "step back" in reader.notes[0]
    with SoundTrack(path) as track:
        assert np.abs(track.read(1.5, 2.3)).max() > 0.4
    assert track.damage == []
    examples = AudioExamples(SoundTrack(path))
    for index in range(3):
        moment = FrameTime(index, index + 0.5, index)
        examples.example(moment, Window((moment,), index, 1, index), 1.0)
    assert any("step back" in note for note in examples.notes)
    examples.close()
