"""Parameter counts in the documentation are those that the command prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.parameter_counts import gavs_rows, mini_rows, sama_rows

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("rows", [gavs_rows, sama_rows], ids=["gavs", "sama"])
def test_baselines(rows):
    text = (DOCS / "concepts" / "baselines.md").read_text(encoding="utf-8")
    for name, number in rows("base-plus").items():
        assert f"| {name} | {number:,} |" in text


def test_mini():
    text = (DOCS / "models" / "mini.md").read_text(encoding="utf-8")
    rows = mini_rows()
    for name, number in rows.items():
        assert any(line.startswith(f"| {name}") and f"| {number:,} |" in line for line in text.splitlines()), name
    assert f"| parameters | {sum(rows.values()):,} |" in text
