"""Batches: failing inputs do not stop others, and concurrent runs share an output folder."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helpers.media_files import numbered, tone, write_clip, write_media

SMALL = ("--save", "masks,json", "--json")

HOLD = """
import sys, time
from pathlib import Path
from auralsam2.utils.atomic_io import claim
with claim(Path(sys.argv[1])) as held:
    print("held" if held else "locked", flush=True)
    time.sleep(600)
"""


def names_and_statuses(outcome):
    return [(Path(line["input"]).stem, line["status"]) for line in outcome.lines]


def when(happens: Callable[[], bool], act: Callable[[], object]) -> threading.Thread:
    """Start a thread that acts as soon as something has happened."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while not happens() and time.monotonic() < deadline:
            time.sleep(0.002)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_deleted_input_fails_alone(segment, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("a", "b", "c"):
        write_clip(folder / f"{name}.mp4", 1.0)
    thread = when((tmp_path / "out" / "a").exists, (folder / "b.mp4").unlink)
    outcome = segment(folder, *SMALL)
    thread.join()
    assert outcome.code == 1
    assert names_and_statuses(outcome) == [("a", "done"), ("b", "failed"), ("c", "done")]
    assert str(folder / "b.mp4") in outcome.error
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "c"]


@pytest.fixture
def buggy(tmp_path, monkeypatch):
    """Three clips; a bug in the decoding of the second."""
    from auralsam2.inference import video_source

    probe = video_source.probe

    def broken(path, audio_track=None):
        if path.stem == "b":
            raise IndexError("pop from\nempty list")
        return probe(path, audio_track)

    monkeypatch.setattr(video_source, "probe", broken)
    return [write_clip(tmp_path / f"{name}.mp4", 1.0) for name in ("a", "b", "c")]


def test_unexpected_error_fails_one_input(segment, buggy, caplog):
    with caplog.at_level(logging.DEBUG, logger="auralsam2.cli.segment_batch"):
        outcome = segment(*buggy, *SMALL)
    assert outcome.code == 1
    assert names_and_statuses(outcome) == [("b", "failed"), ("a", "done"), ("c", "done")]
    assert outcome.error == (
        f"{buggy[1]}: IndexError: pop from empty list: a bug, please report it with the traceback, shown by --debug"
    )
    assert "Traceback" in caplog.text, "--debug shows it"


def test_unexpected_error_in_the_only_input(segment, buggy):
    outcome = segment(buggy[1], *SMALL)
    assert outcome.code == 2
    assert "IndexError" in outcome.error


def test_too_little_memory_for_one_input(fork, small_model, tmp_path):
    """The address space has no room for the masks of the large clip."""
    write_clip(tmp_path / "a.mp4", 1.0)
    large = [np.zeros((6000, 6000, 3), np.uint8)]
    write_clip(tmp_path / "b.mkv", pictures=large, fps=1, codec="mjpeg", pix_fmt="yuvj420p", sound=tone(1.0))
    write_clip(tmp_path / "c.mp4", 1.0)
    code = (
        "import resource, sys\n"
        "from auralsam2 import model\n"
        "from auralsam2.cli.main import run\n"
        "load = model.AuralSAM2.from_pretrained\n"
        "def limited(*arguments, **options):\n"
        "    loaded = load(*arguments, **options)\n"
        "    loaded.segment('a.mp4').save('warm')\n"
        "    used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "    resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))\n"
        "    return loaded\n"
        "model.AuralSAM2.from_pretrained = limited\n"
        f"sys.exit(run(['segment', 'a.mp4', 'b.mkv', 'c.mp4', '--threads', '1', '--model', {str(small_model)!r},\n"
        "    '--save', 'masks,json', '--json']))\n"
    )
    process = fork("-c", code)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["done", "failed", "done"], err
    (error,) = [line for line in err.splitlines() if line.startswith("auralsam2: error: ")]
    assert error.startswith("auralsam2: error: b.mkv: not enough memory")
    assert "use a smaller --fps, fewer pixels or more memory" in error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_full_disk_ends_the_run(segment, tmp_path):
    write_media(tmp_path / "a.mp4", [numbered(number) for number in range(24)], sound=tone(2.4))
    write_clip(tmp_path / "b.mp4", 1.0)

    def fill() -> None:
        (folder,) = (tmp_path / "out" / "a").glob(".*.part")
        (folder / "masks" / "000023.png").symlink_to("/dev/full")

    thread = when(lambda: any((tmp_path / "out" / "a").glob(".*.part/masks")), fill)
    outcome = segment(tmp_path / "a.mp4", tmp_path / "b.mp4", "--fps", "all", *SMALL)
    thread.join()
    assert outcome.code == 2
    assert "No space left on device" in outcome.error
    assert names_and_statuses(outcome) == [("a", "failed")]
    assert not (tmp_path / "out").exists()


def test_two_runs_at_once_compute_each_clip_once(fork, small_model, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    clips = sorted(f"{number}" for number in range(4))
    for name in clips:
        write_clip(folder / f"{name}.mp4", 1.0)
    command = ("-m", "auralsam2", "segment", "videos", "--model", small_model, "--threads", "1", "--resume", "--json")
    runs = [fork(*command, "--fps", "all") for _ in range(2)]
    results = [run.communicate(timeout=300) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], results
    statuses = [
        {Path(line["input"]).stem: line["status"] for line in map(json.loads, out.splitlines())} for out, _ in results
    ]
    for name in clips:
        assert sorted(status[name] for status in statuses) == ["done", "skipped"], results
        assert sorted(path.name for path in (tmp_path / "out" / name).iterdir()) == [
            "masks",
            "overlay.mp4",
            "result.json",
        ]


@pytest.fixture
def held(start, tmp_path):
    """Another process that has locked `out/dog`."""
    process = start("-c", HOLD, tmp_path / "out" / "dog")
    assert process.stdout.readline() == "held\n"
    return process


def test_input_of_a_killed_run_is_processed(segment, held, tmp_path):
    clips = [write_clip(tmp_path / f"{name}.mp4", 1.0) for name in ("dog", "other")]
    thread = when((tmp_path / "out" / "other" / "result.json").exists, held.kill)
    outcome = segment(*clips, *SMALL)
    thread.join()
    assert outcome.code == 0
    assert names_and_statuses(outcome) == [("other", "done"), ("dog", "done")]
    assert f"{clips[0]}: another run is writing its results; retried at the end" in outcome.err
    assert sorted(path.name for path in (tmp_path / "out" / "dog").iterdir()) == ["masks", "result.json"]


def test_result_of_a_concurrent_run_is_not_repeated(segment, held, tmp_path):
    """Without --resume too; a result from before the start is made again."""
    clips = [write_clip(tmp_path / f"{name}.mp4", 1.0) for name in ("dog", "other")]
    assert segment(clips[0], "--out", tmp_path / "earlier", *SMALL).code == 0

    def finish() -> None:
        finished, folder = tmp_path / "earlier" / "dog", tmp_path / "out" / "dog"
        shutil.copytree(finished, folder, copy_function=shutil.copy, dirs_exist_ok=True)
        held.kill()

    thread = when((tmp_path / "out" / "other" / "result.json").exists, finish)
    assert names_and_statuses(segment(*clips, *SMALL)) == [("other", "done"), ("dog", "skipped")]
    thread.join()
    assert names_and_statuses(segment(*clips, *SMALL)) == [("dog", "done"), ("other", "done")]
