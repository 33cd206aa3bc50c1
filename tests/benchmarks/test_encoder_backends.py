"""Comparison of ways to compute the image encoder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import encoder_backends


def test_each_way_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ways = ["torch-fp32", "sdpa-bf16", "channels-last-bf16", "int8"]
    arguments = ["--backbone", "tiny", "--image-size", "64", "--rounds", "1", "--ways", *ways]
    assert encoder_backends.main([*arguments, "--json", str(tmp_path / "report.json")]) == 0
    rows = {row["way"]: row for row in json.loads((tmp_path / "report.json").read_text())["rows"]}
    assert list(rows) == ways
    assert rows["torch-fp32"]["difference"] == 0
    assert all(0 < rows[way]["difference"] < 0.1 for way in ways if way.endswith("bf16"))
    assert all(rows[way]["wall"] > 0 and rows[way]["roofline"] > 0 for way in ways)
    printed = capsys.readouterr().out
    assert "hiera-tiny at 64 px" in printed
    assert all(f"\n{way} " in printed for way in ways)
