"""`auralsam2 live`: files and lines that grow while the source runs, and its ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

import pytest

from auralsam2.media.frame_reader import read_frames
from auralsam2.utils import signals
from helpers.media_files import numbered, tone, write_clip, write_media


@pytest.fixture
def live(command, small_model, tmp_path):
    def run(*arguments):
        return command("live", "--model", small_model, "--out", tmp_path / "out", *arguments)

    return run


def rows_of(folder):
    return [json.loads(line) for line in (folder / "frames.jsonl").read_text().splitlines()]


def test_files_and_lines_of_standard_input(live, segment, tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "dog.ts", 3.0)
    assert segment(clip, "--save", "json", "--out", tmp_path / "segment").code == 0
    expected = json.loads((tmp_path / "segment" / "dog" / "result.json").read_text())["frames"]
    read, write = os.pipe()
    feeder = threading.Thread(target=lambda: os.fdopen(write, "wb").write(clip.read_bytes()))
    feeder.start()
    with os.fdopen(read, "rb") as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        outcome = live(
            "-", "--no-realtime", "--json", "--save", "overlay,masks,rows", "--input-option", "probesize=9999"
        )
    feeder.join()
    assert outcome.code == 0, outcome.err
    (folder,) = (tmp_path / "out").iterdir()
    assert folder.name.startswith("standard-input-")
    assert [path.name for path in sorted((folder / "masks").iterdir())] == ["000000.png", "000001.png", "000002.png"]
    rows = rows_of(folder)
    assert rows == outcome.lines
    assert [row["rle"] for row in rows] == [row["rle"] for row in expected]
    assert [row["time"] for row in rows] == [row["time"] for row in expected]
    assert all(row["latency"] >= 0 and row["dropped"] == 0 for row in rows)
    with read_frames(folder / "overlay.mkv") as overlay:
        assert [frame.time for frame in overlay] == pytest.approx([0.0, 1.0, 2.0], abs=0.01)


@pytest.fixture
def interruptible():
    """SIGINT interrupts, although a shell starts background jobs with SIGINT ignored."""
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, earlier)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_and_the_second_interrupts(number):
    stopped = []
    with signals.handled(), signals.first_calls(lambda: stopped.append(number)):
        os.kill(os.getpid(), number)
        assert stopped == [number]
        signals._received._time -= 2.0  # a second later
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert stopped == [number]


def test_a_signal_ends_the_source_and_finishes_the_files(fork, small_model, tmp_path):
    write_media(tmp_path / "long.mp4", [numbered(n % 100) for n in range(120)], fps=2, sound=tone(60.0))
    process = fork("-m", "auralsam2", "live", "long.mp4", "--model", small_model, "--fps", "2", "--latency", "1")
    end = time.monotonic() + 120
    while not any(path.stat().st_size for path in (tmp_path / "live").glob("*/frames.jsonl")):
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    (folder,) = (tmp_path / "live").iterdir()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err.splitlines()[-1] == f"auralsam2: long.mp4: written to {folder.relative_to(tmp_path)}"
    rows = rows_of(folder)
    assert 0 < len(rows) < 40
    assert sorted(path.name for path in folder.iterdir()) == ["frames.jsonl", "overlay.mkv"]
    with read_frames(folder / "overlay.mkv") as overlay:
        assert sum(1 for _ in overlay) == len(rows)


def test_refusals(live, command, tmp_path):
    clip = write_clip(tmp_path / "dog.mkv", 1.0)
    for arguments, sentence in (
        (("none.mp4",), "no such file"),
        ((clip, "--latency", "99"), "--latency 99 must be 1 to"),
        ((clip, "--input-option", "x"), "the form is KEY=VALUE"),
        ((clip, "--save", "coco"), "choose from overlay,masks,rows"),
        ((clip, "--audio", "none"), "--audio none needs --text"),
        ((clip, "--text", "a dog"), "reads no text: omit --text"),
        (("/dev/null",), "is a device: give its --format"),
    ):
        outcome = live(*arguments)
        assert outcome.code == 2
        assert sentence in outcome.error
    assert not (tmp_path / "out").exists()
    outcome = command("live", clip, "--model", "v1m", "--text", "a dog")
    assert "model v1m reads no text" in outcome.error
