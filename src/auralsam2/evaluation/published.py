"""Published figures, as printed, with their source (`published.json`)."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("published.json")
FRACTIONS = frozenset({"S", "S root"})
"""Scores printed as fractions; all others are percentages."""
SPEED = "FPS"
"""Frames a second, unscaled."""
METHODS = ("1", "2", "6")
"""Tables that compare methods; the others are ablations or repetitions."""
SAME = {"s4": "v1s", "ms3": "v1m"}
"""Data sets with the clips of another one."""


def published_figures(
    dataset: str, split: str, prompts: str | None = None, tables: Sequence[str] = METHODS
) -> list[dict[str, Any]]:
    """Return the published figures of a split.

    Args:
        dataset: name of the data set.
        split: name of the split.
        prompts: prompts; None for all.
        tables: numbers of the paper's tables, `fig3` for Figure 3.

    Returns:
        entries with `method`, `backbone`, `prompts`, `source`, `note`, and `values`: fractions and frames a second by
        name.
    """
    entries = []
    for table in _tables():
        if table["table"] not in tables:
            continue
        for index, column in enumerate(table["columns"]):
            if column["dataset"] != SAME.get(dataset, dataset) or split not in column["splits"]:
                continue
            if prompts is not None and column["prompts"] != prompts:
                continue
            entries += [
                {
                    "method": method,
                    "backbone": backbone,
                    "prompts": column["prompts"],
                    "source": table["source"],
                    "note": table["note"],
                    "values": {
                        name: value if name in FRACTIONS or name == SPEED else round(value / 100, 6)
                        for name, value in zip(column["metrics"], cells[index], strict=True)
                    },
                }
                for method, backbone, *cells in table["rows"]
                if cells[index] is not None
            ]
    return entries


@functools.cache
def _tables() -> list[dict[str, Any]]:
    return json.loads(FILE.read_text(encoding="utf-8"))["tables"]
