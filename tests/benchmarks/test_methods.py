"""The tables of methods and prompts: on a toy data set, with a toy model."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import methods
from data_trees import write_stampavs
from networks import save_small_model


def test_the_command_writes_its_tables_and_evaluates_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = [
        (f"{split}_0000{n}", split, "standard", "single", 3) for split in (*methods.SPLITS, "val") for n in (0, 1)
    ]
    root = write_stampavs(tmp_path / "stamp", tuple(scenes))
    save_small_model(tmp_path / "model", frames=3)
    document = tmp_path / "results.md"
    marks = [f"<!-- begin {name} -->\n<!-- end {name} -->\n" for name in ("methods", "prompting", "combine")]
    document.write_text("".join(marks))
    call = ["methods", str(root), "--model", str(tmp_path / "model"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", [*call, "--timed", "1", "--write", str(document)])
    assert methods.main() == 0
    text = document.read_text()
    assert "GAVS" not in text, "a model that was not given has no rows"
    assert "| test-unseen | AuralSAM2 |" in text
    assert "| 0.720 | 0.815 |" in text, "the paper's own figures stand beside"
    assert text.count("audio, points, box | mean_prob |") == 1

    def again(*_: object, **__: object) -> None:
        raise AssertionError("evaluated twice")

    monkeypatch.setattr("stampavs_runs.evaluate", again)
    assert methods.main() == 0


def test_each_row_is_an_evaluation_that_is_possible() -> None:
    rows = [methods.Row(**values) for values in yaml.safe_load(methods.ROWS.read_text())["rows"]]
    for row in rows:
        options = methods.Options(dataset="stampavs", split="val", prompts=row.prompts, combine=row.combine)
        assert options.combine == "joint" or options.visual
    assert {row.model for row in rows} == {"ours", "gavs", "sama"}
