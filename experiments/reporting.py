"""Text of reports: Markdown tables, numbers with intervals, conditions, and generated sections of documents."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from auralsam2.bench.material import describe_machine
from auralsam2.hub import download
from auralsam2.model import AuralSAM2
from auralsam2.utils.atomic_io import write_file

Number = dict[str, Any]
"""`value`, the ends `low` and `high` of its 95 % interval, and `count`, the number of clips."""


def replace_section(text: str, name: str, content: str) -> str:
    """Replace the text between the comments `<!-- begin NAME -->` and `<!-- end NAME -->`.

    Raises:
        ValueError: the two comments do not occur once each, in this order.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"needs one line {begin} and after it one line {end}")
    before, after = text.split(begin)[0], text.split(end)[1]
    return f"{before}{begin}\n{content.strip()}\n{end}{after}"


def write_section(document: Path, name: str, content: str) -> None:
    """Replace a section of a file; see `replace_section`."""
    try:
        text = replace_section(document.read_text(encoding="utf-8"), name, content)
    except ValueError as error:
        raise ValueError(f"{document}: {error}") from None
    write_file(document, text.encode())


def publish(text: str, document: Path | None, name: str) -> None:
    """Print a text and, if there is a document, replace a section of it; see `replace_section`."""
    print(text)
    if document is not None:
        write_section(document, name, text)


def markdown_table(head: list[str], rows: list[list[str]]) -> str:
    """Format a Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def format_number(number: Number | None, digits: int = 3) -> str:
    """Format a number with its interval, if it has one; a dash for None."""
    if number is None:
        return "-"
    if "low" not in number:
        return f"{number['value']:.{digits}f}"
    return f"{number['value']:.{digits}f} [{number['low']:.{digits}f}, {number['high']:.{digits}f}]"


def measurement_conditions(model: AuralSAM2, seed: int) -> dict[str, Any]:
    """Return machine, model with the hash of its weights, precision, seed and date."""
    machine = describe_machine(model.network.device.type)
    return machine | {
        "model": Path(model.name).name,
        "weights": None if model.folder is None else download.weights_hash(model.folder),
        "dtype": model.dtype,
        "seed": seed,
        "date": date.today().isoformat(),
    }


def conditions_sentence(conditions: dict[str, Any], data: str) -> str:
    """Format the output of `measurement_conditions` and the name of the data as a sentence."""
    weights = f" (weights {conditions['weights']})" if conditions["weights"] else ""
    return (
        f"Model {conditions['model']}{weights} on {data}; {conditions['cpu']}, {conditions['threads']} threads, "
        f"{conditions['dtype']}, torch {conditions['torch']}; seed {conditions['seed']}; {conditions['date']}."
    )


def describe_stampavs(root: Path) -> str:
    """Return seed and image size of the data in a folder of StampAVS."""
    manifest = json.loads((root / "stampavs.json").read_text(encoding="utf-8"))
    return f"StampAVS, seed {manifest.get('seed')}, {manifest.get('size')} px"
