"""Every Python block of docs/guide/interactive.md runs, in order; so does the example, on the bundled clip."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import auralsam2

REPOSITORY = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```python\n(.*?)^```", (REPOSITORY / "docs" / "guide" / "interactive.md").read_text("utf-8"), re.S | re.M
)


def test_the_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_model: Path) -> None:
    monkeypatch.chdir(tmp_path)
    load = auralsam2.load
    monkeypatch.setattr(auralsam2, "load", lambda name: load(small_model), raising=False)
    names: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block, "docs/guide/interactive.md", "exec"), names)
    found = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert [image["id"] for image in found["images"]] == [0, 1, 2, 3, 4, 5]


def test_the_example_runs(tmp_path: Path, fork) -> None:
    process = fork(REPOSITORY / "examples" / "interactive.py", tmp_path / "out")
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    shares = [float(share) for share in re.findall(r"([\d.]+)%", printed)]
    assert shares[1] < shares[0], "the negative click took something away"
    both, goose = (json.loads((tmp_path / "out" / name / "coco.json").read_text()) for name in ("both", "goose"))
    assert {row["track_id"] for row in both["annotations"]} == {0, 1}
    assert {row["track_id"] for row in goose["annotations"]} == {1}
    assert len(both["images"]) == len(goose["images"]) == len(list((tmp_path / "out").glob("*.jpg"))) == 10
    last = [max(data["annotations"], key=lambda row: (row["track_id"], row["image_id"])) for data in (both, goose)]
    assert [row["bbox"][0] for row in last] == pytest.approx([last[0]["bbox"][0]] * 2, abs=20), "the goose is lost"
