"""`auralsam2 segment` with a manifest, worker processes, shards, limits and time limits."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from helpers.media_files import numbered, tone, write_clip, write_media
from helpers.result_files import records, results

SMALL = ("--save", "masks,json", "--quiet")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Five clips, of which one is no video, and a row without a URI."""
    for number in range(4):
        write_clip(tmp_path / f"{number}.mp4", 2.0)
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    (tmp_path / "prompts.json").write_text(json.dumps({"points": [{"x": 20, "y": 20, "time": 1.0}]}))
    path = tmp_path / "list.csv"
    path.write_text(
        "uri,id,start,end,prompts,audio\n0.mp4,first,,,,\n1.mp4,part,1,2,,\nbroken.mp4,,,,,\n,empty,,,,\n"
        "2.mp4,clicked,,,prompts.json,none\n3.mp4,,,,,\n"
    )
    return path


def test_rows_have_their_own_options(segment, manifest: Path, tmp_path: Path) -> None:
    outcome = segment("--manifest", manifest, *SMALL)
    out = tmp_path / "out"
    assert outcome.code == 1, outcome.error
    statuses = {line["id"]: line["status"] for line in records(out, "results.jsonl")}
    assert statuses == {
        "first": "done", "part": "done", "broken": "failed", "empty": "failed", "clicked": "done", "3": "done",
    }  # fmt: skip
    part = json.loads((out / "part" / "result.json").read_text())
    assert [part["options"][name] for name in ("start", "end")] == [1.0, 2.0]
    clicked = json.loads((out / "clicked" / "result.json").read_text())
    assert clicked["prompts"]["points"] == [{"x": 20, "y": 20, "positive": True, "time": 1.0}]
    assert clicked["options"]["audio"] == "none"
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["videos"], summary["done"], summary["failed"]) == (6, 4, 2)
    failures = records(out, "failures.jsonl")
    assert {line.get("uri") for line in failures} == {None, "broken.mp4"}


def test_processes_give_what_one_process_gives_and_resume(segment, manifest: Path, tmp_path: Path) -> None:
    """A long video, the first of the processes' manifest, is given up meanwhile."""
    assert segment("--manifest", manifest, *SMALL).code == 1
    expected = results(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    pictures, sound = [numbered(number % 100) for number in range(1500)], tone(1500.0, 8000, channels=1)
    write_media(tmp_path / "long.mkv", pictures, fps=1, sound=sound, rate=8000, audio_codec="pcm_s16le")
    head, *rows = manifest.read_text().splitlines()
    longer = tmp_path / "longer.csv"
    longer.write_text("\n".join([head, "long.mkv,,,,,", *rows, ""]))
    assert segment("--manifest", longer, "--jobs", "2", "--timeout-per-video", "4", *SMALL).code == 1
    (long,) = (line for line in records(tmp_path / "out", "results.jsonl") if line["id"] == "long")
    assert "took longer than 4 s" in long["error"]
    assert results(tmp_path / "out") == expected
    shutil.rmtree(tmp_path / "out" / "first")
    assert segment("--manifest", manifest, *SMALL).code == 1
    statuses = {line["id"]: line["status"] for line in records(tmp_path / "out", "results.jsonl")}
    assert (statuses["first"], statuses["part"], statuses["3"]) == ("done", "skipped", "skipped")
    assert results(tmp_path / "out") == expected


def test_shards_and_limit(segment, manifest: Path, tmp_path: Path) -> None:
    for shard in ("1/2", "2/2"):
        segment("--manifest", manifest, "--shard", shard, *SMALL)
    out = tmp_path / "out"
    parts = [{line["id"] for line in records(out, f"results-{number}-of-2.jsonl")} for number in (1, 2)]
    assert parts == [{"first", "broken", "clicked"}, {"part", "empty", "3"}]
    assert segment("--manifest", manifest, "--limit", "1", "--no-resume", *SMALL).code == 0
    assert [line["id"] for line in records(out, "results.jsonl")] == ["first"]


def test_a_dry_run_writes_nothing(segment, manifest: Path, tmp_path: Path) -> None:
    outcome = segment("--manifest", manifest, "--dry-run", *SMALL)
    assert outcome.code == 1
    assert not (tmp_path / "out").exists()
    assert "row 4: column uri is empty" in outcome.err
    assert len(re.findall("^to do: ", outcome.out, re.MULTILINE)) == 4


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--manifest", "none.csv"), "No such file"),
        (("--manifest", "list.csv", "a.mp4"), "leave INPUT out"),
        ((), "give a video, a folder of videos, or --manifest FILE"),
        (("a.mp4", "--shard", "3/2"), "--shard 3/2: give I/N with I from 1 to N"),
        (("a.mp4", "--shard", "x"), "--shard x: give I/N"),
        (("--manifest", "list.csv", "--save", "masks"), "--resume needs json"),
        (("--manifest", "list.csv", "--rate", "5"), "--rate is for folders of pictures"),
        (("a.mp4", "--rate", "5"), "--rate is for folders of pictures, and no input is one"),
    ],
)
def test_unusable_arguments(segment, tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    outcome = segment(*arguments)
    assert outcome.code == 2
    assert reason in outcome.err
