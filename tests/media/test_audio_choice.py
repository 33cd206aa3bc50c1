"""The choice among sound tracks, and tracks without sound."""

import av
import numpy as np
import pytest
from av.stream import Disposition

from auralsam2.errors import InputError
from auralsam2.inference.video_source import VideoSource
from auralsam2.media.audio_choice import audio_note
from auralsam2.media.audio_track import SoundTrack
from auralsam2.media.frame_reader import read_frames
from auralsam2.media.probe import probe
from auralsam2.media.video_writer import VideoWriter
from auralsam2.types import Point, Prompts
from helpers.media_files import numbered, tone, write_clip


def with_tracks(path, *tracks):
    """A clip of 1 s with sound tracks: each a frequency in Hz (0 for a track without packets), marks and language."""
    source = write_clip(path.with_name("pictures.mkv"), 1.0, sound=None)
    with av.open(str(source)) as pictures, av.open(str(path), "w") as output:
        video = output.add_stream_from_template(pictures.streams.video[0])
        streams = []
        for _, marks, language in tracks:
            stream = output.add_stream("aac", rate=16_000, layout="mono")
            stream.disposition = marks
            stream.metadata["language"] = language
            streams.append(stream)
        for packet in pictures.demux(video=0):
            if packet.size:
                packet.stream = video
                output.mux(packet)
        for stream, (frequency, _, _) in zip(streams, tracks, strict=True):
            if not frequency:
                continue
            samples = tone(1.0, frequency=frequency, channels=1)
            for at in range(0, len(samples), 1024):
                frame = av.AudioFrame.from_ndarray(samples[at : at + 1024].T.copy(), format="s16", layout="mono")
                frame.sample_rate, frame.pts = 16_000, at
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    return path


def pitch(path, choice=None):
    """Hz of the loudest tone."""
    with SoundTrack(path, choice=choice) as track:
        sound = track.read(0.1, 0.9)[:, 0]
    return np.abs(np.fft.rfft(sound)).argmax() / 0.8


NONE, DEFAULT, COMMENT = Disposition(0), Disposition.default, Disposition.comment


@pytest.mark.parametrize(
    ("tracks", "expected"),
    [
        ([(400, COMMENT, "eng"), (1000, DEFAULT, "und")], 1000),
        ([(400, DEFAULT | COMMENT, "eng"), (1000, NONE, "und")], 1000),
        ([(400, COMMENT, "eng"), (1000, NONE, "eng")], 1000),
        ([(400, NONE, "eng"), (1000, NONE, "fra")], 400),
        ([(0, DEFAULT, "eng"), (1000, NONE, "fra")], 1000),
        ([(400, COMMENT, "eng")], 400),
    ],
)
def test_default_track(tmp_path, tracks, expected):
    path = with_tracks(tmp_path / "tracks.mkv", *tracks)
    assert pitch(path) == pytest.approx(expected, abs=5)


def test_chosen_track(tmp_path):
    path = with_tracks(tmp_path / "tracks.mkv", (400, DEFAULT, "eng"), (1000, NONE, "fra"), (2000, NONE, "fra"))
    for choice, expected in ((0, 400), (1, 1000), (2, 2000), ("eng", 400), ("fra", 1000)):
        assert pitch(path, choice) == pytest.approx(expected, abs=5)
    assert audio_note(path, 2) == "audio track 2 (fra) of 3 used"
    source = VideoSource.open(path, Prompts(), audio_track="fra")
    assert (source.audio_track, source.notes) == ("fra", ("audio track 1 (fra) of 3 used",))
    with pytest.raises(InputError, match=r"no audio track 7: choose `audio_track` from 0 \(eng\), 1 \(fra\), 2"):
        probe(path, 7)


def test_overlay_has_the_chosen_track(tmp_path):
    path = with_tracks(tmp_path / "tracks.mkv", (400, DEFAULT, "eng"), (1000, NONE, "fra"))
    overlay = tmp_path / "overlay.mp4"
    with VideoWriter(overlay, audio_from=path, audio_track=1) as writer:
        for number in range(10):
            writer.write(numbered(number), number / 10)
    assert pitch(overlay) == pytest.approx(1000, abs=5)


def test_empty_track_counts_as_none(tmp_path):
    path = with_tracks(tmp_path / "empty.mkv", (0, DEFAULT, "eng"))
    info = probe(path)
    assert (info.audio_rate, info.audio_channels) == (None, 0)
    with pytest.raises(InputError, match="no audio track: add one with `audio=FILE`, or prompt"):
        VideoSource.open(path, Prompts())
    assert VideoSource.open(path, Prompts(points=(Point(x=3, y=3),))).sound is None


@pytest.mark.parametrize("rate", [8000, 11_025, 12_000])
def test_slow_mp3_is_encoded_for_the_overlay(tmp_path, rate):
    source = write_clip(
        tmp_path / "clip.avi", 2.0, codec="mpeg4", sound=tone(2.0, rate, 1000.0), rate=rate, audio_codec="mp3"
    )
    overlay = tmp_path / "overlay.mp4"
    with VideoWriter(overlay, audio_from=source) as writer, read_frames(source) as reader:
        for frame in reader:
            writer.write(frame.image, frame.time)
    assert pitch(overlay) == pytest.approx(1000, abs=5)
    with av.open(str(overlay)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
