"""Encrypted and animated files, stills, rates that are clocks, and names that are not files."""

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from PIL import Image

from auralsam2.errors import InputError
from auralsam2.media.frame_reader import read_frames
from auralsam2.media.probe import probe
from helpers.media_files import corners, number_of, numbered, tone, write_clip, write_media


def test_encrypted(tmp_path):
    key = "00112233445566778899aabbccddeeff"
    options = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": key, "encryption_kid": key}
    path = write_clip(tmp_path / "protected.mp4", 1.0, container_options=options)
    with pytest.raises(InputError, match=r"protected\.mp4: is encrypted: give a file without protection"):
        probe(path)
    with pytest.raises(InputError, match="is encrypted"):
        list(read_frames(path))


def test_animated_webp(tmp_path):
    path = tmp_path / "animated.webp"
    pictures = [Image.fromarray(numbered(10 * n)) for n in range(3)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    if "webp_anim" in av.formats_available:  # FFmpeg 9
        with read_frames(path) as reader:
            frames = [(frame.time, number_of(frame.image)) for frame in reader]
        assert frames == [(pytest.approx(time), number) for time, number in ((0.0, 0), (0.1, 10), (0.2, 20))]
    else:
        with pytest.raises(InputError, match="animated WebP cannot be read: convert it to GIF or MP4"):
            probe(path)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp"])
def test_picture_files(tmp_path, ending):
    path = tmp_path / f"still.{ending}"
    Image.fromarray(numbered(42)).save(path)
    with read_frames(path) as reader:
        assert [number_of(frame.image) for frame in reader] == [42]
    assert reader.damage == []


@pytest.mark.parametrize(("ending", "codec"), [("gif", "gif"), ("apng", "apng")])
def test_animations(tmp_path, ending, codec):
    pix_fmt = "rgb8" if codec == "gif" else "rgb24"
    path = write_media(tmp_path / f"a.{ending}", [numbered(11 * n) for n in range(9)], codec=codec, pix_fmt=pix_fmt)
    with read_frames(path, fps=5) as reader:
        frames = list(reader)
    assert [frame.instant for frame in frames] == pytest.approx([0.1, 0.3, 0.5, 0.7])
    assert reader.damage == []


def test_rate_of_raw_dv(tmp_path):
    pictures = [np.full((576, 720, 3), 100, np.uint8)] * 3
    path = write_media(tmp_path / "camera.dv", pictures, codec="dvvideo", fps=25)
    assert probe(path).fps == 25.0
    with read_frames(path) as reader:
        assert [frame.time for frame in reader] == pytest.approx([0.0, 0.04, 0.08])


@pytest.mark.parametrize("ending", ["mkv", "mp4", "mov"])
@pytest.mark.parametrize("pictures", [1, 10])
def test_sound_longer_than_the_pictures_is_no_damage(tmp_path, ending, pictures):
    path = write_clip(tmp_path / f"long.{ending}", 1.0, pictures=[numbered(7)] * pictures, sound=tone(6.0))
    with read_frames(path, fps=1) as reader:
        frames = list(reader)
    assert reader.damage == []
    assert len(frames) == (6 if pictures == 1 else 1)


def test_names_that_are_not_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="-: standard input cannot be read: give a file"):
        probe("-")
    for address in ("https://example.org/a.mp4", "rtsp://camera/1", "s3://bucket/a.mp4"):
        with pytest.raises(InputError, match="is an address, not a file: download it first"):
            probe(address)


def test_rotation_in_the_video_stream(tmp_path):
    """H.264 has a message for the display orientation (SEI), besides the matrix of the container."""
    path, turned = write_media(tmp_path / "plain.mkv", [corners()] * 3), tmp_path / "turned.mkv"
    with av.open(str(path)) as source, av.open(str(turned), "w") as output:
        stream = source.streams.video[0]
        copy = output.add_stream_from_template(stream)
        rotation = BitStreamFilterContext("h264_metadata=display_orientation=insert:rotate=90", stream)
        for packet in source.demux(stream):
            for changed in rotation.filter(packet if packet.size else None):
                changed.stream = copy
                output.mux(changed)
    plain, images = (list(read_frames(file)) for file in (path, turned))
    assert probe(turned).width == 48
    assert len(images) == len(plain) == 3
    for before, after in zip(plain, images, strict=True):
        assert np.array_equal(after.image, np.rot90(before.image)), "90 degrees anticlockwise, as ffmpeg shows it"
