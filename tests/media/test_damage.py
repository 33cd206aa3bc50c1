"""Damaged files end in frames and sound or in an InputError, and soon."""

import contextlib
import logging
import time
from itertools import islice

import numpy as np
import pytest

from auralsam2.errors import InputError
from auralsam2.media.audio_track import SoundTrack
from auralsam2.media.frame_reader import read_frames
from auralsam2.media.probe import probe
from helpers.media_files import mutated, number_of, numbered, tone, write_clip, write_media

SECONDS = 4.0


def everything(path, fps=None):
    """Frames, sound and their damage, by the way every user of the room goes."""
    probe(path)
    with read_frames(path, fps=fps) as reader:
        frames = list(islice(reader, 500))
    with SoundTrack(path) as track:
        sound = track.read(0.0, SECONDS)
    return frames, sound, reader.damage, track.damage


def test_truncated(tmp_path, caplog):
    """Cut in the middle; the index comes first, so that the length is known."""
    path = write_clip(tmp_path / "clip.mp4", SECONDS, container_options={"movflags": "+faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    frames, sound, pictures_damage, sound_damage = everything(path)
    assert 5 < len(frames) < 38
    assert [number_of(frame.image) for frame in frames] == [round(10 * frame.time) for frame in frames]
    assert len(pictures_damage) == 1
    assert pictures_damage[0] == pytest.approx(frames[-1].time, abs=0.35)
    assert len(sound_damage) == 1
    assert np.abs(sound[: round(16_000 * (sound_damage[0] - 0.3))]).max() > 0.4
    assert not sound[round(16_000 * (sound_damage[0] + 0.1)) :].any()
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [
        f"{path}: damaged picture at {pictures_damage[0]:.2f} s, going on",
        f"{path}: damaged sound at {sound_damage[0]:.2f} s, going on",
    ]


def test_truncated_without_word_from_the_decoder(tmp_path):
    path = write_clip(tmp_path / "clip.mkv", SECONDS, codec="mpeg4", audio_codec="mp3")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    frames, _, damage, _ = everything(path)
    assert 5 < len(frames) < 38
    assert damage == [pytest.approx(frames[-1].time + 0.1, abs=0.2)]


def test_truncated_before_the_index(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", SECONDS)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match="damaged beyond repair"):
        read_frames(path)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_hole_in_the_middle(tmp_path, ending):
    pictures = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), dtype=np.uint8)
    path = write_clip(tmp_path / f"clip.{ending}", SECONDS, pictures=list(pictures), options={"g": "5"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + len(data) // 10] = bytes(len(data) // 10)
    path.write_bytes(data)
    frames, sound, damage, _ = everything(path)
    assert 25 < len(frames) < 40
    assert frames[-1].time > SECONDS - 0.5
    times = [frame.time for frame in frames]
    assert times == sorted(set(times))
    assert np.abs(sound[:16_000]).max() > 0.4
    assert np.abs(sound[-8000:]).max() > 0.4
    assert len(damage) >= 1
    assert 1.0 < damage[0] < 3.2


def test_undamaged_files_report_nothing(tmp_path):
    for ending in ("mp4", "mkv", "ts", "avi"):
        codec = "mpeg4" if ending == "avi" else "libx264"
        path = write_clip(tmp_path / f"clip.{ending}", SECONDS, codec=codec, audio_codec="mp3")
        frames, _, pictures_damage, sound_damage = everything(path)
        assert (len(frames), pictures_damage, sound_damage) == (40, [], [])


def test_truncated_sound(tmp_path):
    path = write_media(tmp_path / "sound.wav", sound=tone(3.0), audio_codec="pcm_s16le")
    path.write_bytes(path.read_bytes()[:64_000])
    with SoundTrack(path) as track:
        sound = track.read(0.0, 3.0)
        assert track.damage == [pytest.approx(1.0, abs=0.2)]
    assert np.abs(sound[12_000:15_000]).max() > 0.4


def test_sound_that_does_not_decode(tmp_path):
    path = write_media(tmp_path / "s.m4a", sound=tone(1.0), container_options={"movflags": "+faststart"})
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 4
    data[begin:] = b"\xff" * (len(data) - begin)
    path.write_bytes(data)
    with SoundTrack(path) as track:
        with pytest.raises(InputError, match="no sound could be decoded"):
            track.read(0.0, 1.0)
        assert track.damage == [0.0]


def index_first(path, **options):
    return write_clip(path, 1.0, container_options={"movflags": "+faststart"}, **options)


@pytest.mark.slow
def test_fuzzed_files_end_in_frames_or_an_input_error(tmp_path):
    """400 mutated files; each within seconds. The seeds are fixed, so a failure repeats."""
    logging.getLogger("auralsam2.media.stream_decoder").setLevel(logging.ERROR)
    bases = [
        index_first(tmp_path / "first.mp4"),
        write_clip(tmp_path / "last.mp4", 1.0),
        write_clip(tmp_path / "base.mkv", 1.0, audio_codec="libopus", sound=tone(1.0, 48_000), rate=48_000),
        write_clip(tmp_path / "base.ts", 1.0, audio_codec="mp3"),
        write_media(tmp_path / "base.wav", sound=tone(1.0, 44_100), rate=44_100, audio_codec="pcm_s16le"),
    ]
    came_through = 0
    refusals: list[str] = []
    for number in range(400):
        base = bases[number % len(bases)]
        rng = np.random.default_rng(number)
        path = tmp_path / f"mutated{base.suffix}"
        path.write_bytes(mutated(base.read_bytes(), rng))
        begun = time.monotonic()
        try:
            info = probe(path)
            assert info.width * info.height <= 8192 * 8192
            if info.width:
                with read_frames(path, fps=(None, 1, 10)[number % 3]) as reader:
                    frames = list(islice(reader, 50))
                assert frames
                assert all(frame.image.shape == frames[0].image.shape for frame in frames)
                came_through += 1
            with SoundTrack(path) as track:
                sound = track.read(0.0, 2.0)
                track.ends_before(3.0)
            assert sound.shape == (32_000, 2)
            assert np.abs(sound).max() <= 1.0
        except InputError as error:
            refusals.append(str(error))
        assert time.monotonic() - begun < 5.0, f"mutation {number} of {base.name}"
    assert came_through > 100
    assert refusals
    assert not any("\n" in message for message in refusals)


def test_announced_size_beyond_all_screens(tmp_path):
    """A header that announces 20000 by 20000 pixels is refused, not allocated."""
    path = write_media(tmp_path / "huge.gif", [numbered(0)] * 3, codec="gif", pix_fmt="rgb8")
    data = bytearray(path.read_bytes())
    assert data[6:10] == b"\x40\0\x30\0"
    data[6:10] = (20_000).to_bytes(2, "little") * 2
    path.write_bytes(data)
    with pytest.raises(InputError):
        probe(path)


def late_first_picture(path, seconds):
    """A program stream whose first picture has a damaged time stamp."""
    write_clip(path, 2.0, codec="mpeg2video", fps=25, audio_codec="mp2", options={"bf": "0"})
    data = bytearray(path.read_bytes())
    at, ticks = data.index(b"\0\0\1\xe0") + 6, round(seconds * 90_000)
    while data[at] == 0xFF:
        at += 1
    at += 2 if data[at] & 0xC0 == 0x40 else 0
    assert data[at] & 0xE0 == 0x20  # a time stamp follows
    data[at] = data[at] & 0xF1 | ticks >> 29 & 0x0E
    data[at + 1 : at + 5] = bytes((ticks >> 22 & 255, ticks >> 14 & 254 | 1, ticks >> 7 & 255, ticks << 1 & 254 | 1))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("fps", [2.0, None])
def test_a_damaged_first_time_stamp_does_not_repeat_the_picture_for_hours(tmp_path, fps):
    with read_frames(late_first_picture(tmp_path / "late.mpg", 20_000.0), fps=fps) as reader:
        frames = list(reader)
    if fps is None:
        assert [number_of(frame.image) for frame in frames] == list(range(20))
    else:
        assert 1 <= len(frames) <= 4
    assert frames[-1].time < 2.0
    assert [frame.time for frame in frames] == sorted(frame.time for frame in frames)
    assert "the clock of the file jumps 19999.5 s ahead" in reader.notes[0]


def test_pictures_that_start_late(tmp_path):
    """Half a minute after the sound, by the word of the file and of all its pictures."""
    times = [30 + n / 10 for n in range(20)]
    path = write_media(tmp_path / "late.mp4", [numbered(n) for n in range(20)], times, sound=tone(32.0))
    frames, _, damage, _ = everything(path)
    assert [frame.time for frame in frames] == pytest.approx(times, abs=0.01)
    assert not damage


def test_a_damaged_duration_ends_with_the_stream(tmp_path):
    """The table of an MP4 gives its pictures a day each, its header two seconds in all."""
    path = write_clip(tmp_path / "clip.mp4", 2.0)
    data = bytearray(path.read_bytes())
    at = data.index(b"stts") + 12
    data[at : at + 4] = (86_400 * 10_240).to_bytes(4, "big")
    path.write_bytes(data)
    assert len(everything(path, 2.0)[0]) <= 4


def test_a_picture_does_not_stay_for_hours_after_the_sound(tmp_path):
    path = write_media(tmp_path / "still.mp4", [numbered(n) for n in range(3)], [0.0, 1.0, 5000.0], sound=tone(2.0))
    with read_frames(path, fps=2.0) as reader:
        frames = list(reader)
    assert 2 * 60 <= len(frames) <= 2 * 63
    assert reader.damage == [pytest.approx(62.0, abs=1.0)]


@pytest.mark.slow
@pytest.mark.parametrize("sound", [None, tone(200.0, 8000)], ids=["silent", "with sound"])
def test_a_slide_show_is_whole(tmp_path, sound):
    path = write_media(
        tmp_path / "slides.mp4", [numbered(n) for n in range(3)], [0.0, 65.0, 190.0], sound=sound, rate=8000
    )
    with read_frames(path, fps=1.0) as reader:
        shown = [(number_of(frame.image), id(frame.image)) for frame in iter(reader) if frame.index < 190]
    assert [number for number, _ in shown] == [0] * 65 + [1] * 125
    assert not reader.damage


@pytest.mark.slow
def test_an_error_of_the_library_is_damage(tmp_path):
    """An FLV file whose second half redefines its streams: PyAV raises IndexError when it is read on."""
    path = write_clip(tmp_path / "clip.flv", 2.0, codec="flv", audio_codec="mp3", rate=44_100, sound=tone(2.0, 44_100))
    whole = path.read_bytes()
    for number in range(60):
        path.write_bytes(mutated(whole, np.random.default_rng(number)))
        with contextlib.suppress(InputError):
            everything(path)
