"""Damaged videos: each gives a complete result or an error of one line, and does not stop other inputs."""

from __future__ import annotations

import json
import queue
import threading

import numpy as np
import pytest

from helpers.media_files import mutated, numbered, tone, write_clip

FILES = 300
LONGEST = 20.0
"""Seconds that one file may take."""
KEPT = {"masks", "overlay.mp4", "result.json"}


@pytest.fixture
def archive(tmp_path):
    """A folder of damaged videos: three containers, codecs of picture and sound; every tenth is left whole."""
    index_first = {"container_options": {"movflags": "+faststart"}}
    opus = {"audio_codec": "libopus", "sound": tone(1.0, 48_000), "rate": 48_000}
    bases = [
        write_clip(tmp_path / "first.mp4", 1.0, **index_first),
        write_clip(tmp_path / "last.mp4", 1.0),
        write_clip(tmp_path / "opus.mkv", 1.0, **opus),
        write_clip(tmp_path / "mp3.ts", 1.0, audio_codec="mp3"),
        write_clip(tmp_path / "mpeg4.avi", 1.0, codec="mpeg4", audio_codec="mp3"),
    ]
    headers = [base.read_bytes()[:1024] for base in bases]
    folder = tmp_path / "archive"
    folder.mkdir()
    for number in range(FILES):
        base = bases[number % len(bases)]
        data, rng = base.read_bytes(), np.random.default_rng(number)
        if number % 10 == 1:  # the header of another container
            data = headers[rng.integers(len(headers))] + data[1024:]
        elif number % 10:
            data = mutated(data, rng)
        (folder / f"{number:03d}{base.suffix}").write_bytes(data)
    return folder


def test_each_damaged_video_gives_a_result_or_one_line(fork, small_model, archive, tmp_path):
    process = fork(
        "-m", "auralsam2", "segment", archive, "--model", small_model, "--fps", "2", "--json", "--threads", "1"
    )
    lines: queue.Queue[str | None] = queue.Queue()

    def listen():
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    errors: list[str] = []
    threads = [
        threading.Thread(target=listen, daemon=True),
        threading.Thread(target=lambda: errors.extend(process.stderr), daemon=True),
    ]
    for thread in threads:
        thread.start()
    message = {}
    # The first line comes after the libraries are loaded and all headers are read.
    while (line := lines.get(timeout=LONGEST if message else 3 * LONGEST)) is not None:
        report = json.loads(line)
        message[report["input"].rpartition("/")[2]] = report
    assert process.wait(timeout=LONGEST) == 1
    threads[1].join(LONGEST)

    assert sorted(message) == sorted(path.name for path in archive.iterdir())
    assert all(line.startswith("auralsam2: ") for line in errors)
    complaints = [line for line in errors if line.startswith("auralsam2: error: ")]
    assert not [line for line in complaints if "a bug" in line]
    failed = {name for name, report in message.items() if report["status"] == "failed"}
    assert len(complaints) == len(failed)
    done = message.keys() - failed
    assert len(failed) > 20
    assert len(done) > 100
    assert {f"{number:03d}" for number in range(0, FILES, 10)} <= {name[:3] for name in done}
    assert {folder.name for folder in (tmp_path / "out").iterdir()} == {name[:3] for name in done}
    for name in done:
        folder = tmp_path / "out" / name[:3]
        assert {path.name for path in folder.iterdir()} == KEPT
        frames = json.loads((folder / "result.json").read_text())["frames"]
        assert len(frames) == len(list((folder / "masks").iterdir())) == message[name]["frames"] >= 1


def test_intact_file_is_not_reported_as_damaged(segment, tmp_path):
    """The test above would pass if every file came with a warning."""
    outcome = segment(write_clip(tmp_path / "dog.mp4", pictures=[numbered(number) for number in range(20)]))
    assert outcome.code == 0
    assert "warning" not in outcome.err
