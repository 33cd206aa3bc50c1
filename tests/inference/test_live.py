"""Live sources: masks while they run, equal to those of `segment` where the windows coincide."""

from __future__ import annotations

import functools
import http.server
import os
import threading
import time
from contextlib import contextmanager
from fractions import Fraction

import av
import numpy as np
import pytest

from auralsam2.errors import InputError, UsageError
from auralsam2.inference.frame_table import FrameTable
from auralsam2.inference.windows import FrameTime, windows
from auralsam2.media.live_capture import LiveCapture
from auralsam2.media.live_input import source_name
from auralsam2.types import Frame, Prompts
from helpers.media_files import number_of, numbered, tone, write_media


@contextmanager
def piped(content: bytes):
    """A pipe into which a thread writes some bytes, then ends."""
    read, write = os.pipe()

    def feed() -> None:
        with os.fdopen(write, "wb") as file:
            file.write(content)

    thread = threading.Thread(target=feed)
    thread.start()
    with os.fdopen(read, "rb") as file:
        yield file
    thread.join()


def assert_same(live, expected):
    assert [frame.index for frame in live] == [frame.index for frame in expected]
    for one, other in zip(live, expected, strict=True):
        assert one.time == pytest.approx(other.time, abs=1e-6)
        assert one.slot == pytest.approx(other.slot, abs=1e-6)
        assert (one.image == other.image).all()
        np.testing.assert_allclose(one.logits, other.logits, atol=1e-3)
        assert one.sounding == other.sounding


@pytest.mark.parametrize("fps", [1.0, 2.0])
def test_windows_of_the_training_length_give_the_masks_of_segment(model, video, fps):
    expected = list(model.segment(video, fps=fps))
    if fps == 2.0:
        assert_same(list(model.live(video, fps=fps, realtime=False)), expected)
        return
    with piped(video.read_bytes()) as pipe:
        assert_same(list(model.live(pipe, fps=fps, realtime=False)), expected)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_addresses_and_named_pipes(model, video, tmp_path):
    expected = list(model.segment(video))
    handler = functools.partial(QuietHandler, directory=video.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/{video.name}"
        live = model.live(address, realtime=False)
        assert_same(list(live), expected)
        assert live.info.name == address
        with pytest.raises(InputError, match="cannot be opened"):
            model.live(address.replace(".mkv", ".ts"))
        server.shutdown()
    os.mkfifo(tmp_path / "pipe")
    feeder = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(video.read_bytes()))
    feeder.start()
    assert_same(list(model.live(tmp_path / "pipe", realtime=False)), expected)
    feeder.join()


@pytest.mark.parametrize("latency", [1, 2])
def test_a_shorter_latency_overlaps_windows(model, video, latency):
    live = list(model.live(video, latency=latency, realtime=False))
    assert [frame.time for frame in live] == [frame.time for frame in model.segment(video)]
    for end in range(3, 7):
        window = list(model.segment(video, start=end - 3, end=end))
        for frame in live[end - latency : end] if end % latency == 0 else ():
            own = window[frame.index - end]
            assert own.time == pytest.approx(frame.time, abs=1e-6)
            np.testing.assert_allclose(frame.logits, own.logits, atol=1e-3)


class PacedStream:
    """An MPEG-TS of numbered pictures, 10 per second, and sound that grows on request."""

    def __init__(self, file):
        self._output = av.open(file, "w", format="mpegts", options={"flush_packets": "1", "muxdelay": "0"})
        self._video = self._output.add_stream("mpeg2video", rate=10, options={"g": "5"})
        self._video.width, self._video.height, self._video.pix_fmt = 64, 48, "yuv420p"
        self._audio = self._output.add_stream("mp2", rate=16_000, layout="stereo")
        self._ticks = 0

    def advance(self, seconds):
        samples = tone(seconds)
        for at in range(0, len(samples), 1600):
            frame = av.AudioFrame.from_ndarray(samples[at : at + 1600].reshape(1, -1), format="s16", layout="stereo")
            frame.sample_rate, frame.time_base, frame.pts = 16_000, Fraction(1, 16_000), self._ticks * 1600
            self._output.mux(self._audio.encode(frame))
            picture = av.VideoFrame.from_ndarray(numbered(self._ticks % 100), format="rgb24")
            picture.time_base, picture.pts = Fraction(1, 10), self._ticks
            self._output.mux(self._video.encode(picture))
            self._ticks += 1

    def close(self):
        self._output.close()


def test_masks_come_while_the_source_is_open(model):
    """A frame has its mask once the source has reached the end of its window, and some packets beyond."""
    read, write = os.pipe()
    sink, source = os.fdopen(write, "wb"), os.fdopen(read, "rb")
    stream = PacedStream(sink)
    watchdog = threading.Timer(60, lambda: os.close(write))
    watchdog.start()
    try:
        thread = threading.Thread(target=stream.advance, args=(4.0,))
        thread.start()
        live = model.live(source)
        frames = iter(live)
        assert [next(frames).time for _ in range(3)] == pytest.approx([0.5, 1.5, 2.5], abs=0.11)
        thread.join()
        stream.advance(2.9)
        assert [next(frames).time for _ in range(3)] == pytest.approx([3.5, 4.5, 5.5], abs=0.11)
        stream.close()
        sink.close()
        assert len(list(frames)) == 1
        assert live.dropped == 0
        assert watchdog.is_alive()
    finally:
        watchdog.cancel()


def test_a_file_is_read_at_its_own_speed_and_stop_ends_it(model, video):
    began = time.monotonic()
    with model.live(video, latency=1) as live:
        times = []
        for frame in live:
            times.append(frame.time)
            assert time.monotonic() - began > frame.time
            assert live.latency < 1 + 5
            if len(times) == 2:
                live.stop()
    assert 2 <= len(times) < 7
    with pytest.raises(UsageError, match="once"):
        iter(live)


def test_the_oldest_frames_are_dropped_where_the_model_is_too_slow(video):
    with piped(video.read_bytes()) as pipe:
        capture = LiveCapture(pipe, fps=None, depth=4).start()
        capture._thread.join()  # the consumer was slow
        frames = list(capture)
    assert [number_of(frame.image) for frame in frames] == [24, 25, 26, 27]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert capture.dropped == 24
    assert capture.notes == [
        "24 of 28 frames dropped: the model is slower than the source: lower `fps`, or raise `latency`"
    ]


def test_dropped_frames_leave_gaps_in_time(model, video):
    with piped(video.read_bytes()) as pipe:
        live = model.live(pipe, fps=4, latency=1)
        live.source.capture._thread.join()
        frames = list(live)
    assert len(frames) == 8
    assert live.dropped == 20
    assert frames[0].slot == pytest.approx((5.0, 5.25))
    assert any("20 of 28 frames dropped" in warning for warning in live.warnings)


def test_sound_that_stops_counts_as_silence(model, tmp_path):
    path = write_media(tmp_path / "short.mkv", [numbered(n) for n in range(28)], fps=4, sound=tone(1.0))
    frames = list(model.live(path, realtime=False))
    assert len(frames) == 7
    assert not any(frame.sounding for frame in frames[3:])


def test_errors_are_sentences(model, video, tmp_path):
    silent = write_media(tmp_path / "silent.mkv", [numbered(n) for n in range(8)], fps=4)
    for error, sentence, source, options in (
        (InputError, "no such file", tmp_path / "none.mp4", {}),
        (InputError, "no audio track: add one, or prompt with `text`", silent, {"realtime": False}),
        (UsageError, "`latency=9` must be 1 to 3 s", video, {"latency": 9}),
        (UsageError, "`audio=none` needs `text`", video, {"audio": "none"}),
        (UsageError, "reads no text", video, {"text": "a dog"}),
        (UsageError, "`duration=0`", video, {"duration": 0}),
        (UsageError, "give a pipe, an address", 5, {}),
        (InputError, "cannot be opened", video, {"input_format": "mpegts"}),
        (InputError, "no audio track 7", video, {"audio_track": 7}),
    ):
        with pytest.raises(error, match=sentence):
            model.live(source, **options)
    with piped(b"") as pipe, pytest.raises(InputError, match="stream: cannot be opened"):
        model.live(pipe)


def test_credentials_of_an_address_are_not_shown():
    assert source_name("rtsp://me:secret@camera/stream") == "rtsp://camera/stream"
    assert source_name("-") == "standard input"


def test_windows_with_a_step_end_at_their_last_frame():
    moments = [FrameTime(n, n + 0.5, n) for n in range(5)]
    asked = []

    def counted():
        for moment in moments:
            asked.append(moment.index)
            yield moment

    spans = []
    for window in windows(counted(), 3, 1, lambda moment: moment.slot + 1):
        spans.append((window.span, window.first_new, [moment.index for moment in window.moments]))
        assert asked[-1] == window.moments[-1].index
    assert spans == [
        ((0, 1), 0, [0]),
        ((0, 2), 1, [0, 1]),
        ((0, 3), 2, [0, 1, 2]),
        ((1, 3), 3, [1, 2, 3]),
        ((2, 3), 4, [2, 3, 4]),
    ]


def test_the_table_of_frames_forgets_early_ones():
    table = FrameTable()
    picture = np.zeros((1, 1, 3), np.uint8)
    for index in range(6):
        table.append(Frame(index=index, time=index // 3, instant=index + 0.5, slot=(index, index + 1), image=picture))
    table.drop_before(4)
    assert len(table) == 6
    assert table.first_with_image(5) == 3
    assert (table.time(4), table.slot(5), table.pts(4), table.source_index(5)) == (1.0, (5.0, 6.0), None, None)
    assert table.nearest(0.0) == 4
    assert len(table._times) == 2


def test_prompts_with_pixels_are_refused(video):
    from auralsam2.inference.live_source import LiveSource
    from auralsam2.types import Point

    with pytest.raises(UsageError, match="no points"):
        LiveSource.start_capture(video, Prompts(points=(Point(x=1, y=1),)), slots=3)
