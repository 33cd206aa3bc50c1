"""Comparison of AuralSAM2 with other ways to run SAM 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import beside


def test_ways_are_timed_and_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [beside.run_way(way, "small-128", 2) for way in ("transformers-fp32", "ours-click-fp32", "ours-audio-bf16")]
    for row in rows:
        assert min(row["wall"], row["processor"], row["peak_gb"]) > 0
        assert len(row["masks"]) == 2
    assert beside.agreement(rows[0], rows) is beside.agreement(rows[2], rows) is None
    assert beside.agreement(rows[1], rows) == ("transformers-fp32", pytest.approx(1.0, abs=0.001))


def test_a_missing_package_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--backbone", "small-128", "--frames", "1", "--ways", "meta-fp32", "--json", str(tmp_path / "a.json")]
    assert beside.main(arguments) == 1
    assert "failed: " in capsys.readouterr().out
    assert json.loads((tmp_path / "a.json").read_text())["rows"] == []
