"""Results and inputs of `auralsam2 segment` on remote file systems, here that of `fsspec` in memory."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from helpers.media_files import write_clip
from helpers.result_files import records, results

SMALL = ("--save", "masks,json", "--quiet")
PROMPTS = json.dumps({"points": [{"x": 20, "y": 20, "time": 0.0}]})


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MemoryFileSystem:
    """An empty file system in memory, with a clip, prompts and a folder of its own for temporary files."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pipe("/clips/dog.ts", write_clip(tmp_path / "dog.ts", 2.0).read_bytes())
    system.pipe("/clips/prompts.json", PROMPTS.encode())
    (tmp_path / "prompts.json").write_text(PROMPTS)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    return system


def copy(store: MemoryFileSystem, folder: Path) -> Path:
    """Write the results in memory into a folder of this machine."""
    for name in store.find("/results"):
        file = folder / name.removeprefix("/results/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(store.cat_file(name))
    return folder


def manifest(folder: Path, clips: str) -> Path:
    path = folder / "list.csv"
    path.write_text(
        f"uri,id,audio,prompts\n{clips}/dog.ts,all,,\n{clips}/dog.ts,clicked,{clips}/dog.ts,{clips}/prompts.json\n"
    )
    return path


def statuses(store: MemoryFileSystem) -> list[str]:
    return [json.loads(line)["status"] for line in store.cat_file("/results/results.jsonl").splitlines()]


def test_addresses_of_inputs_and_results(segment: Callable, store: MemoryFileSystem, tmp_path: Path) -> None:
    assert segment("--manifest", manifest(tmp_path, str(tmp_path)), *SMALL).code == 0
    remote = ("--manifest", manifest(tmp_path, "memory://clips"), *SMALL, "--out", "memory://results", "--json")
    outcome = segment(*remote)
    assert outcome.code == 0, outcome.err
    assert outcome.lines[0]["output"] == "memory://results/all"
    assert outcome.lines[0]["frames"] == 2
    expected, actual = results(tmp_path / "out"), results(copy(store, tmp_path / "copied"))
    assert actual.keys() == expected.keys()
    for name, content in expected.items():
        if name.endswith("result.json"):
            both = [json.loads((folder / name).read_bytes()) for folder in (tmp_path / "out", tmp_path / "copied")]
            assert both[0]["frames"] == both[1]["frames"]
            assert both[1]["input"]["path"] == "memory://clips/dog.ts"
        else:
            assert actual[name] == content
    clicked = json.loads(store.cat_file("/results/clicked/result.json"))
    assert clicked["options"]["audio"] == "memory://clips/dog.ts"
    assert [name for name in store.store if name.startswith("/results/all/")][-1] == "/results/all/result.json"
    assert [line["id"] for line in records(tmp_path / "copied", "results.jsonl")] == ["all", "clicked"]
    assert list((tmp_path / "scratch").iterdir()) == []
    assert segment(*remote[:-1], "--dry-run").out.count("complete: ") == 2


def test_complete_results_are_skipped_and_others_replaced(
    segment: Callable, store: MemoryFileSystem, tmp_path: Path
) -> None:
    remote = ("memory://clips/dog.ts", *SMALL, "--out", "memory://results", "--limit", "1", "--resume")
    assert segment(*remote).code == 0
    assert len(store.find("/results/dog/masks")) == 2
    assert segment(*remote).code == 0
    assert statuses(store) == ["skipped"]
    store.rm_file("/results/dog/masks/000001.png")
    assert segment(*remote).code == 0
    assert statuses(store) == ["done"]
    store.pipe("/clips/dog.ts", write_clip(tmp_path / "short.ts", 1.0).read_bytes())
    assert segment(*remote).code == 0
    assert statuses(store) == ["done"]
    assert store.find("/results/dog/masks") == ["/results/dog/masks/000000.png"]


def test_a_result_that_cannot_be_copied_is_no_result(
    segment: Callable, store: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = ("memory://clips/dog.ts", *SMALL, "--out", "memory://results")
    assert segment(*remote).code == 0

    def refuse(self, lpath, rpath, **_options):
        raise PermissionError("no write access")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "put_file", refuse)
        outcome = segment(*remote, "--fps", "2")
    assert outcome.code == 2
    assert "memory://results/dog: cannot be written or read (no write access)" in outcome.error
    assert not store.exists("/results/dog/result.json")
    assert segment(*remote, "--fps", "2").code == 0
    assert len(store.find("/results/dog/masks")) == 4


@pytest.mark.parametrize(("out", "reason"), [("nowhere://x", "Protocol not known"), ("", "--out is empty")])
def test_unusable_addresses(segment: Callable, tmp_path: Path, out: str, reason: str) -> None:
    outcome = segment(write_clip(tmp_path / "dog.ts", 1.0), "--out", out)
    assert outcome.code == 2
    assert reason in outcome.error
