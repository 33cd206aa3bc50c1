"""Records of a run, and the rows of a shard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auralsam2.batch.journal import RunJournal
from auralsam2.batch.manifest import Manifest, ManifestRow
from auralsam2.batch.run_options import Shard
from auralsam2.errors import OutputError, UsageError


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_failures_are_a_manifest_for_another_try(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("uri,id,start\na.mp4,a,2\n/b.mp4,b,\nc.mp4,c,-1\n", encoding="utf-8")
    rows = list(Manifest(path))
    out = tmp_path / "out"
    for _ in range(2):  # the second run replaces the records of the first
        with RunJournal(out) as journal:
            journal.add(rows[0], "failed", {"error": "damaged"})
            journal.add(rows[1], "done", {"frames": 3})
            journal.add(rows[2], "failed", {"error": rows[2].error})
            assert len(lines(journal.path("results.jsonl"))) == 3, "each line is written at once"
    assert [line["status"] for line in lines(out / "results.jsonl")] == ["failed", "done", "failed"]
    summary = json.loads((out / "summary.json").read_text())
    assert {name: summary[name] for name in ("videos", "done", "skipped", "failed")} == {
        "videos": 3, "done": 1, "skipped": 0, "failed": 2,
    }  # fmt: skip
    (out / "failures.jsonl").rename(tmp_path / "again.jsonl")
    again = list(Manifest(tmp_path / "again.jsonl"))
    assert [(row.uri, row.id, row.start) for row in again[:1]] == [(rows[0].uri, "a", 2.0)]
    assert "column start" in (again[1].error or "")


def test_without_failures_there_is_no_list_of_them(tmp_path: Path) -> None:
    with RunJournal(tmp_path) as journal:
        journal.add(ManifestRow(number=1, uri="a", id="a"), "failed", {"error": "x"})
    with RunJournal(tmp_path) as journal:
        journal.add(ManifestRow(number=1, uri="a", id="a"), "done", {})
    assert not (tmp_path / "failures.jsonl").exists()


def test_an_interrupted_run_has_a_summary(tmp_path: Path) -> None:
    def interrupted() -> None:
        with RunJournal(tmp_path, Shard(index=2, count=3)) as journal:
            journal.add(ManifestRow(number=1, uri="a", id="a"), "skipped", {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert json.loads((tmp_path / "summary-2-of-3.json").read_text())["skipped"] == 1


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError), RunJournal(tmp_path / "out"):
        pass


def test_shards_share_the_rows() -> None:
    shards = [Shard(index=index, count=4) for index in (1, 2, 3, 4)]
    for number in range(1, 30):
        assert sum(shard.holds(number) for shard in shards) == 1
    assert shards[0].holds(1)
    assert shards[3].suffix == "-4-of-4"
    assert Shard().suffix == ""


@pytest.mark.parametrize(("index", "count"), [(0, 2), (3, 2), (1, 0), (-1, -1)])
def test_impossible_shards_are_refused(index: int, count: int) -> None:
    with pytest.raises(UsageError, match="give I/N"):
        Shard(index=index, count=count)
