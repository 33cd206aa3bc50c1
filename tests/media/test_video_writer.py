import resource
import sys

import av
import numpy as np
import pytest

from auralsam2.errors import InputError, OutputError
from auralsam2.media.audio_track import SoundTrack
from auralsam2.media.frame_reader import read_frames
from auralsam2.media.video_writer import VideoWriter
from helpers.media_files import click, corners, number_of, numbered, tone, write_clip, write_media


def write(path, pictures, times, **options):
    options.setdefault("audio_from", None)
    with VideoWriter(path, **options) as writer:
        for picture, time in zip(pictures, times, strict=True):
            writer.write(picture, time)
    return path


def read(path):
    with read_frames(path) as reader:
        return list(reader)


def click_at(path, threshold=0.2):
    with SoundTrack(path) as track:
        sound = np.abs(track.read(0.0, 5.0)[:, 0])
    return np.flatnonzero(sound > threshold)[0] / 16_000


def test_times_come_back_exactly(tmp_path):
    times = [0.0, 0.033, 0.0667, 0.5, 2.0, 2.001, 3.7]
    frames = read(write(tmp_path / "o.mp4", [numbered(10 * n) for n in range(7)], times))
    assert [frame.time for frame in frames] == pytest.approx(times, abs=6e-6)
    assert [number_of(frame.image) for frame in frames] == [0, 10, 20, 30, 40, 50, 60]


def test_last_picture_stays_as_long_as_the_one_before_or_until_the_end(tmp_path):
    for end, length in ((None, 1.0), (0.8, 0.8), (9.0, 1.0)):
        path = write(tmp_path / "o.mp4", [numbered(1), numbered(2)], [0.0, 0.5], end=end)
        with av.open(str(path)) as container:
            assert container.duration / av.time_base == pytest.approx(length, abs=1e-3)


def test_plays_in_a_browser(tmp_path):
    path = write(tmp_path / "o.mp4", [corners()] * 5, [n / 5 for n in range(5)])
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert stream.codec_tag == "avc1"
        assert (context.color_range, context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1, 1)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_colours_survive(tmp_path):
    path = write(tmp_path / "o.mp4", [corners()] * 3, [0.0, 0.1, 0.2])
    assert np.abs(read(path)[1].image.astype(int) - corners()).mean() < 5


def test_odd_sizes_get_one_more_row_and_column(tmp_path):
    picture = corners(33, 21)
    image = read(write(tmp_path / "o.mp4", [picture] * 2, [0.0, 0.1]))[0].image
    assert image.shape == (22, 34, 3)
    assert np.abs(image[:21, :33].astype(int) - picture).mean() < 8
    assert np.abs(image[21].astype(int) - image[20]).max() < 20
    assert np.abs(image[:, 33].astype(int) - image[:, 32]).max() < 20


@pytest.mark.parametrize(
    ("ending", "codec", "kept"),
    [
        ("mp4", "aac", "aac"),
        ("ts", "aac", "aac"),
        ("mkv", "mp3", "mp3"),
        ("mkv", "pcm_s16le", "aac"),
        ("webm", "libopus", "aac"),
    ],
)
@pytest.mark.parametrize("start", [0.0, 1.25])
def test_sound_stays_in_sync(tmp_path, ending, codec, kept, start):
    video = {"webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime"}}}.get(ending, {})
    source = write_clip(
        tmp_path / f"clip.{ending}", 3.0, sound=click(3.0, 2.0, 48_000), rate=48_000, audio_codec=codec, **video
    )
    with read_frames(source, start=start) as reader:
        frames = list(reader)
    path = write(
        tmp_path / "o.mp4", [f.image for f in frames], [f.time for f in frames], audio_from=source, start=start
    )
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name.startswith(kept)
    assert [f.time for f in read(path)] == pytest.approx([f.time - start for f in frames], abs=1e-4)
    assert click_at(path) == pytest.approx(click_at(source) - start, abs=0.003)


def test_copied_sound_is_the_same_sound(tmp_path):
    source = write_clip(tmp_path / "clip.mp4", 2.0)
    path = write(tmp_path / "o.mp4", [numbered(1)] * 20, [n / 10 for n in range(20)], audio_from=source)
    with SoundTrack(source) as track, SoundTrack(path) as copy:
        assert np.array_equal(track.read(0.0, 2.0), copy.read(0.0, 2.0))


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_sound_stops_at_the_end(tmp_path, codec):
    source = write_media(tmp_path / "sound.mkv", sound=tone(4.0), audio_codec=codec)
    path = write(
        tmp_path / "o.mp4", [numbered(1)] * 5, [1 + n / 5 for n in range(5)], audio_from=source, start=1.0, end=2.0
    )
    with SoundTrack(path) as track:
        track.read(0.0, 4.0)
        assert track.duration == pytest.approx(1.0, abs=0.07)


def test_unusual_rate_and_layout_are_encoded(tmp_path):
    sound = np.repeat(click(3.0, 1.0, 96_000, 1), 6, axis=1)
    source = write_media(tmp_path / "s.mkv", sound=sound, rate=96_000, audio_codec="pcm_s16le", layout="5.1")
    path = write(tmp_path / "o.mp4", [numbered(1)] * 3, [0.0, 1.0, 2.0], audio_from=source)
    assert click_at(path) == pytest.approx(1.0, abs=0.003)


def test_picture_at_the_same_time_takes_the_place_of_the_one_before(tmp_path):
    path = write(tmp_path / "o.mp4", [numbered(0), numbered(50), numbered(90)], [0.2, 0.2, 0.4])
    assert [number_of(frame.image) for frame in read(path)] == [50, 90]


def test_picture_on_display_at_the_start_counts_from_there(tmp_path):
    path = write(tmp_path / "o.mp4", [numbered(0), numbered(50)], [0.9, 1.5], start=1.0)
    assert [frame.time for frame in read(path)] == pytest.approx([0.0, 0.5])


def test_senseless_pictures(tmp_path):
    with pytest.raises(ValueError, match="comes after"):
        write(tmp_path / "o.mp4", [numbered(0)] * 2, [1.0, 0.5])
    with pytest.raises(ValueError, match="after images of shape"):
        write(tmp_path / "o.mp4", [numbered(0), numbered(0, 32, 32)], [0.0, 0.5])
    with pytest.raises(ValueError, match="uint8"):
        write(tmp_path / "o.mp4", [np.zeros((8, 8, 3))], [0.0])
    assert list(tmp_path.iterdir()) == []


def write_and_fail(path):
    with VideoWriter(path, audio_from=None) as writer:
        for number in range(100):
            writer.write(numbered(number), number / 10)
        assert path.read_bytes() == b"older"
        raise ZeroDivisionError


def test_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "o.mp4"
    path.write_bytes(b"older")
    with pytest.raises(ZeroDivisionError):
        write_and_fail(path)
    assert path.read_bytes() == b"older"
    with pytest.raises(OutputError, match="no picture"), VideoWriter(path, audio_from=None):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["o.mp4"]
    write(path, [numbered(1)] * 2, [0.0, 0.1])
    assert len(read(path)) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["o.mp4"]


def test_sound_from_a_file_without_sound(tmp_path):
    source = write_clip(tmp_path / "mute.mp4", 0.5, sound=None)
    with pytest.raises(InputError, match="no audio track"):
        VideoWriter(tmp_path / "o.mp4", audio_from=source)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mute.mp4"]


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(OutputError, match="cannot be written") as caught:
        VideoWriter(tmp_path / "missing" / "o.mp4", audio_from=None)
    assert str(tmp_path / "missing" / "o.mp4") in str(caught.value)


def test_folder_in_the_way(tmp_path):
    (tmp_path / "o.mp4").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path / "o.mp4", [numbered(1)], [0.0])
    assert [entry.name for entry in tmp_path.iterdir()] == ["o.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("limit", [500, 100_000])
def test_no_room_left(tmp_path, limit):
    noise = np.random.default_rng(0).integers(0, 255, (40, 96, 128, 3), dtype=np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            write(tmp_path / "o.mp4", noise, [n / 25 for n in range(40)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_sound_does_not_wait_in_memory(tmp_path):
    """Sound goes out with the pictures: after half of them, about half of it has been read, and not all."""
    source = write_clip(tmp_path / "clip.mkv", 9.0, audio_codec="pcm_s16le")
    with VideoWriter(tmp_path / "o.mp4", audio_from=source) as writer:
        for number in range(60):
            writer.write(numbered(number), number / 10)
        reached = next(writer._sound)[0]
        assert 1.0 < reached < 6.5
