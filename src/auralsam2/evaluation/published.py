"""Figures that were published, to stand beside ours; `published.json` has them as printed, with their source."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("published.json")
FRACTIONS = frozenset({"S"})
"""Scores that are printed as fractions; all others in percent."""
SAME = {"s4": "v1s", "ms3": "v1m"}
"""Data sets that hold the clips of another one."""


def published(dataset: str, split: str, prompts: str | None = None) -> list[dict[str, Any]]:
    """What was published for a split.

    Args:
        dataset: its name.
        split: its name.
        prompts: with which prompts; None for all.

    Returns:
        entries with `method`, `backbone`, `prompts`, `source`, `note`, and `values`: fractions by name of the score.
    """
    found = []
    for table in _tables():
        for place, column in enumerate(table["columns"]):
            if column["dataset"] != SAME.get(dataset, dataset) or split not in column["splits"]:
                continue
            if prompts is not None and column["prompts"] != prompts:
                continue
            found += [
                {
                    "method": method,
                    "backbone": backbone,
                    "prompts": column["prompts"],
                    "source": table["source"],
                    "note": table["note"],
                    "values": {
                        name: value if name in FRACTIONS else round(value / 100, 6)
                        for name, value in zip(column["metrics"], cells[place], strict=True)
                    },
                }
                for method, backbone, *cells in table["rows"]
                if cells[place] is not None
            ]
    return found


@functools.cache
def _tables() -> list[dict[str, Any]]:
    return json.loads(FILE.read_text(encoding="utf-8"))["tables"]
