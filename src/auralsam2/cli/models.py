"""`auralsam2 models` and `auralsam2 convert`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

CONVERT_EXAMPLES = "Example:\n\n\b\n  auralsam2 convert auralsam2_avs_v1m.pth models/v1m"


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the available models."""
    from auralsam2.hub import download

    entries = download.available()
    if as_json:
        print(json.dumps(entries, indent=2))
        return
    from rich.table import Table

    from auralsam2.cli.progress import stdout_console

    table = Table("name", "task", "modalities", "MB", "downloaded", "licence", box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for entry in entries:
        size = "" if entry["size_mb"] is None else f"{entry['size_mb']:.0f}"
        cached = "yes" if entry["cached"] else "no"
        table.add_row(entry["name"], entry["task"], ", ".join(entry["modalities"]), size, cached, entry["licence"])
    stdout_console().print(table)


def convert_command(
    file: Annotated[Path, typer.Argument(metavar="FILE.pth", help="Released checkpoint, in any of its layouts.")],
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Model folder to write.")],
    sam2: Annotated[
        str | None,
        typer.Option(metavar="ID|DIR", help="SAM 2 to use in place of the one that belongs to the checkpoint."),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(min=1, max=1000, metavar="N", help="Length of a clip window. Default: 5, with text 10; v2: 10."),
    ] = None,
) -> None:
    """Convert a released checkpoint into a model folder of safetensors."""
    from auralsam2.hub.convert import convert

    print(convert(file, out_dir, sam2, frames))
