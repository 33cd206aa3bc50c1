"""`auralsam2 models`: what there is, and what is here."""

from __future__ import annotations

import json

from auralsam2.hub import download

_WIDE = 1000


def show_models(*, as_json: bool) -> None:
    """Print the named models as a table, or as JSON."""
    entries = download.available()
    if as_json:
        print(json.dumps(entries, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = _WIDE  # a file or another program has no edge at which to wrap
    table = Table("name", "task", "modalities", "MB", "here", "licence", box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for entry in entries:
        size = "" if entry["size_mb"] is None else f"{entry['size_mb']:.0f}"
        here = "yes" if entry["cached"] else "no"
        table.add_row(entry["name"], entry["task"], ", ".join(entry["modalities"]), size, here, entry["licence"])
    console.print(table)
