import gc
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from auralsam2.errors import InputError, UsageError
from auralsam2.media.audio_track import SoundTrack
from auralsam2.media.frame_reader import FrameReader, read_frames
from helpers.ffmpeg_frames import ffmpeg_frames
from helpers.media_files import click, corners, number_of, numbered, tone, turn, write_clip, write_media


def frames_of(path, **options):
    with read_frames(path, **options) as reader:
        return list(reader)


@pytest.mark.parametrize("rate", [Fraction(10), Fraction(25), Fraction(30_000, 1001), Fraction(24_000, 1001)])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_own_frame_rate_gives_every_frame_once(tmp_path, rate, ending):
    path = write_media(tmp_path / f"clip.{ending}", [numbered(n) for n in range(40)], fps=rate)
    for fps in (float(rate), None):
        frames = frames_of(path, fps=fps)
        assert [number_of(frame.image) for frame in frames] == list(range(40))
        assert [frame.index for frame in frames] == list(range(40))
        tolerance = 1e-9 if ending == "mp4" else 5.1e-4  # Matroska counts milliseconds
        assert [frame.time for frame in frames] == pytest.approx([n / float(rate) for n in range(40)], abs=tolerance)


def test_every_frame_has_its_time_as_instant(tmp_path):
    times = [0.0, 0.1, 0.4, 1.05, 1.1]
    path = write_media(tmp_path / "vfr.mp4", [numbered(n) for n in range(5)], times)
    frames = frames_of(path)
    assert [frame.time for frame in frames] == pytest.approx(times)
    assert all(frame.time == frame.instant for frame in frames)


def test_one_per_second(tmp_path):
    frames = frames_of(write_clip(tmp_path / "clip.mp4", 3.0), fps=1)
    assert [frame.instant for frame in frames] == [0.5, 1.5, 2.5]
    assert [number_of(frame.image) for frame in frames] == [5, 15, 25]
    assert [frame.time for frame in frames] == pytest.approx([0.5, 1.5, 2.5])


def test_variable_rate_repeats_and_skips_pictures(tmp_path):
    path = write_media(tmp_path / "vfr.mp4", [numbered(n) for n in range(6)], [0.0, 0.1, 0.2, 2.2, 2.25, 2.3])
    frames = frames_of(path, fps=2, end=2.4)
    assert [frame.instant for frame in frames] == [0.25, 0.75, 1.25, 1.75, 2.25]
    assert [number_of(frame.image) for frame in frames] == [2, 2, 2, 2, 4]
    assert [frame.time for frame in frames] == pytest.approx([0.2, 0.2, 0.2, 0.2, 2.25])


def test_start_and_end(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 3.0)
    frames = frames_of(path, fps=2, start=1.0, end=2.0)
    assert [frame.instant for frame in frames] == [1.25, 1.75]
    assert [number_of(frame.image) for frame in frames] == [12, 17]
    frames = frames_of(path, start=1.0, end=1.5)
    assert [number_of(frame.image) for frame in frames] == [10, 11, 12, 13, 14]
    assert frames[0].index == 0
    assert len(frames_of(path, fps=1, end=100.0)) == 3


@pytest.mark.parametrize("fps", [1, None])
def test_part_in_which_no_instant_falls(tmp_path, fps):
    path = write_clip(tmp_path / "clip.mp4", 3.0)
    frames = frames_of(path, fps=fps, start=1.12, end=1.18)
    assert [number_of(frame.image) for frame in frames] == [11]


def test_single_picture(tmp_path):
    path = write_media(tmp_path / "one.mp4", [numbered(7)], sound=tone(0.2))
    for fps, count in ((1, 1), (10, 2), (None, 1)):  # a single picture lasts as long as the sound
        frames = frames_of(path, fps=fps)
        assert [number_of(frame.image) for frame in frames] == [7] * count
    assert len(frames_of(write_clip(tmp_path / "short.mp4", 0.2), fps=1)) == 1


def test_late_start_by_seeking_equals_reading_through(tmp_path):
    path = write_media(tmp_path / "long.mp4", [numbered(n % 100) for n in range(300)], options={"g": "40"})
    assert [number_of(frame.image) for frame in frames_of(path, start=25.0, end=25.5)] == [50, 51, 52, 53, 54]
    late = frames_of(path, start=25.0, fps=10)
    assert [number_of(frame.image) for frame in late] == list(range(50, 100))
    assert late[0].time == pytest.approx(25.0)
    assert [frame.source_index for frame in late] == list(range(250, 300))
    assert [frame.pts for frame in late[:2]] == [250 * 1024, 251 * 1024]
    with FrameReader(path, fps=None, start=25.0, end=None, numbered=False) as reader:
        assert next(reader).source_index is None


def test_slots_follow_the_rate_or_the_next_frame(tmp_path):
    times = [0.0, 0.1, 0.4, 1.05, 1.1]
    path = write_media(tmp_path / "vfr.mkv", [numbered(n) for n in range(5)], times)
    frames = frames_of(path)
    assert [frame.slot[0] for frame in frames] == pytest.approx(times, abs=1e-3)
    assert [frame.slot[1] for frame in frames[:-1]] == [frame.slot[0] for frame in frames[1:]]
    assert frames[-1].slot[1] > 1.1
    assert [frame.source_index for frame in frames] == list(range(5))
    assert frames_of(path, end=0.7)[-1].slot == pytest.approx((0.4, 0.7))
    frames = frames_of(path, fps=2, start=0.25, end=1.08)
    assert [frame.slot for frame in frames] == [(0.25, 0.75), (0.75, 1.08)]
    assert [frame.source_index for frame in frames] == [2, 2]
    assert [frame.slot for frame in frames_of(path, fps=1, start=0.5, end=0.6)] == [(0.5, 0.6)]
    assert [frame.slot for frame in frames_of(path, fps=2, end=0.7)] == [(0, 0.7)]


@pytest.mark.parametrize("fps", [1, None])
def test_start_behind_the_end(tmp_path, fps):
    path = write_clip(tmp_path / "clip.mp4", 1.0)
    with pytest.raises(InputError, match=r"pictures end at 1\.00 s"):
        frames_of(path, fps=fps, start=5.0)


@pytest.mark.parametrize("options", [{"fps": 0}, {"fps": float("nan")}, {"start": -1.0}, {"start": 2.0, "end": 2.0}])
def test_senseless_options(tmp_path, options):
    path = write_clip(tmp_path / "clip.mp4", 0.5)
    with pytest.raises(UsageError):
        read_frames(path, **options)


def test_sound_alone_has_no_frames(tmp_path):
    path = write_media(tmp_path / "sound.wav", sound=tone(0.5), audio_codec="pcm_s16le")
    with pytest.raises(InputError, match="no video track"):
        read_frames(path)


def test_reading_is_lazy(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 5.0)
    with read_frames(path) as reader:
        assert number_of(next(reader).image) == 0
    assert list(reader) == []


TURNS = {
    "upright": ((1, 0, 0, 1), lambda image: image),
    "90": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "180": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "270": ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    "mirrored": ((-1, 0, 0, 1), np.fliplr),
    "upside down": ((1, 0, 0, -1), np.flipud),
    "transposed": ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
    "transverse": ((0, -1, -1, 0), lambda image: np.rot90(image, 2).swapaxes(0, 1)),
}


@pytest.mark.parametrize("name", TURNS)
def test_display_orientation(tmp_path, name):
    matrix, expected = TURNS[name]
    path = turn(write_media(tmp_path / "clip.mp4", [corners(64, 48)] * 2), *matrix)
    image = frames_of(path)[0].image
    wanted = expected(corners(64, 48))
    assert image.shape == wanted.shape
    assert np.abs(image.astype(int) - wanted).mean() < 6


@pytest.mark.parametrize("span", [ColorRange.MPEG, ColorRange.JPEG], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [Colorspace.ITU601, Colorspace.ITU709], ids=["601", "709"])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_colours(tmp_path, span, matrix, pix_fmt):
    colour = np.full((32, 32, 3), (200, 60, 30), dtype=np.uint8)
    options = {"qp": "0"} if pix_fmt != "yuv420p10le" else {"crf": "1"}
    path = write_media(tmp_path / "red.mkv", [colour] * 2, pix_fmt=pix_fmt, colours=(matrix, span), options=options)
    image = frames_of(path)[0].image.astype(int)
    assert np.abs(image - colour).max() <= 3


def test_colours_without_a_tag_follow_the_size(tmp_path):
    for size, matrix in (((64, 48), Colorspace.ITU601), ((1280, 720), Colorspace.ITU709)):
        colour = np.full((size[1], size[0], 3), (200, 60, 30), dtype=np.uint8)
        path = write_media(tmp_path / f"{size[0]}.avi", [colour], codec="mpeg4", colours=(matrix, ColorRange.MPEG))
        assert np.abs(frames_of(path)[0].image.astype(int) - colour).max() <= 4


@pytest.mark.parametrize(
    ("ending", "codec", "pix_fmt"),
    [("mov", "qtrle", "argb"), ("mov", "png", "rgba"), ("webm", "libvpx-vp9", "yuva420p")],
)
def test_alpha_is_dropped(tmp_path, ending, codec, pix_fmt):
    picture = np.dstack([corners(), np.full((48, 64), 128, np.uint8)])
    path = write_media(tmp_path / f"alpha.{ending}", [picture] * 2, codec=codec, pix_fmt=pix_fmt)
    image = frames_of(path)[0].image
    assert image.shape == (48, 64, 3)
    assert np.abs(image.astype(int) - corners()).mean() < 8


def test_odd_size(tmp_path):
    path = write_media(tmp_path / "odd.mkv", [corners(33, 21)] * 2, codec="ffv1", pix_fmt="yuv444p")
    image = frames_of(path)[0].image
    assert image.shape == (21, 33, 3)
    assert np.abs(image.astype(int) - corners(33, 21)).max() <= 3


def test_pixels_that_are_not_square_are_scaled(tmp_path):
    path = write_media(tmp_path / "wide.mp4", [corners()] * 2, aspect=Fraction(3, 2))
    image = frames_of(path)[0].image
    assert image.shape == (48, 96, 3)
    assert np.abs(image[8:16, 8:32].astype(int) - (220, 30, 30)).max() < 12


def test_4k(tmp_path):
    path = write_media(tmp_path / "4k.mp4", [corners(3840, 2160)], options={"preset": "ultrafast"})
    image = frames_of(path)[0].image
    assert image.shape == (2160, 3840, 3)
    assert np.abs(image[100, 100].astype(int) - (220, 30, 30)).max() < 12


def test_interlaced_pictures_are_deinterlaced(tmp_path):
    """A bar that moves from field to field, against ffmpeg's filter."""
    pictures = []
    for number in range(8):
        picture = np.full((96, 128, 3), 40, np.uint8)
        for field in range(2):
            left = 5 * (2 * number + field)
            picture[field::2, left : left + 30] = (220, 60, 30)
        pictures.append(picture)
    options = {"flags": "+ildct+ilme", "qmin": "2", "qmax": "2"}
    path = write_media(tmp_path / "fields.ts", pictures, codec="mpeg2video", fps=25, options=options)
    with read_frames(path) as reader:
        frames = list(reader)
    assert reader.notes == ["interlaced pictures deinterlaced"]
    times, expected = ffmpeg_frames(path, "bwdif=mode=send_frame:deint=interlaced")
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-3)
    for frame, picture in zip(frames[1:], expected[1:], strict=True):  # versions differ in the first picture
        assert np.abs(frame.image.astype(int) - picture).max() <= 2
    for frame in frames:
        assert np.abs(np.diff(frame.image.astype(int), axis=0)).mean() < 1


def test_frames_that_change_size_keep_the_first(tmp_path):
    small = write_media(tmp_path / "a.ts", [corners(64, 48)] * 3, container_options={"muxdelay": "0"})
    large = write_media(tmp_path / "b.ts", [corners(128, 96)] * 5, [0.3, 0.4, 0.5, 0.6, 0.7])
    path = tmp_path / "both.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    with read_frames(path) as reader:
        frames = list(reader)
    assert "pictures of 128x96 pixels scaled to the size of the first" in reader.notes
    assert len(frames) > 3
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert np.abs(frames[-1].image.astype(int) - corners(64, 48)).mean() < 8


@pytest.mark.parametrize("ending", ["ts", "mp4", "mkv"])
def test_picture_and_sound_share_the_clock(tmp_path, ending):
    """A white picture and a click, both at 1.5 s of a stream whose clock starts late (MPEG-TS: at 1.4 s)."""
    pictures = [np.full((48, 64, 3), 235 if n == 15 else 20, dtype=np.uint8) for n in range(30)]
    path = write_media(
        tmp_path / f"sync.{ending}", pictures, sound=click(3.0, 1.5, 48_000), rate=48_000, audio_codec="mp3"
    )
    flash = next(frame.time for frame in frames_of(path) if frame.image.mean() > 128)
    with SoundTrack(path) as track:
        sound = np.abs(track.read(0.0, 3.0)[:, 0])
    beep = np.flatnonzero(sound > 0.25)[0] / 16_000
    assert flash == pytest.approx(1.5, abs=0.06)  # the run-in of MP3 delays the pictures of MPEG-TS
    assert beep == pytest.approx(flash, abs=0.012)


def test_mpegts_starts_at_zero(tmp_path):
    frames = frames_of(write_clip(tmp_path / "clip.ts", 1.0, sound=None))
    assert frames[0].time == 0.0


def test_no_more_than_a_few_pictures_are_held(tmp_path):
    """Not even until the garbage collector comes by."""
    path = write_clip(tmp_path / "clip.mp4", 6.0)
    gc.collect()
    gc.disable()
    try:
        with read_frames(path) as reader:
            assert sum(1 for _ in reader) == 60
            held = sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())
    finally:
        gc.enable()
    assert 0 < held < 12
