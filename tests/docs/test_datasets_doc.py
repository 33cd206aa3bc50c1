"""docs/guide/datasets.md agrees with the data set readers."""

from __future__ import annotations

from pathlib import Path

import pytest

from auralsam2.data import NAMES, avsbench, ref_avs
from helpers.dataset_trees import STAMPAVS_SPLITS

TEXT = (Path(__file__).parents[2] / "docs" / "guide" / "datasets.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("|")]


@pytest.mark.parametrize("name", [*NAMES, *STAMPAVS_SPLITS, "seen", "unseen", "null"])
def test_each_name_is_told(name):
    assert f"`{name}`" in TEXT


@pytest.mark.parametrize("name", ["v1s", "v1m", "v2, v2-semantic"])
def test_counts_of_avsbench(name):
    (row,) = [row for row in ROWS if row[0].replace("`", "") == name and row[1].isdigit()]
    assert [int(cell) for cell in row[1:]] == [size.rows for size in avsbench.published(name.split(",")[0]).values()]


@pytest.mark.parametrize("what", ["rows", "clips"])
def test_counts_of_ref_avs(what):
    (row,) = [row for row in ROWS if row[0] == what]
    assert [int(cell) for cell in row[1:]] == [getattr(size, what) for size in ref_avs.PUBLISHED.values()]
