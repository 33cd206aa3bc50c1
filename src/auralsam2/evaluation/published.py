"""Figures that were published, to stand beside ours; `published.json` has them as printed, with their source."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("published.json")
FRACTIONS = frozenset({"S"})
"""Scores that are printed as fractions; all others in percent."""
SPEED = "FPS"
"""Frames a second, as they are."""
METHODS = ("1", "2", "6")
"""Tables that compare methods; the others compare what is left out of one, or hold the same again."""
SAME = {"s4": "v1s", "ms3": "v1m"}
"""Data sets that hold the clips of another one."""


def published_figures(
    dataset: str, split: str, prompts: str | None = None, tables: Sequence[str] = METHODS
) -> list[dict[str, Any]]:
    """What was published for a split.

    Args:
        dataset: its name.
        split: its name.
        prompts: with which prompts; None for all.
        tables: numbers of the paper's tables, `fig3` for its Figure 3.

    Returns:
        entries with `method`, `backbone`, `prompts`, `source`, `note`, and `values`: by name of the score, fractions
        and frames a second.
    """
    found = []
    for table in _tables():
        if table["table"] not in tables:
            continue
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
                        name: value if name in FRACTIONS or name == SPEED else round(value / 100, 6)
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
