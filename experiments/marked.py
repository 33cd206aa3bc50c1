"""Generated text of a document between the comments `<!-- begin NAME -->` and `<!-- end NAME -->`."""

from __future__ import annotations

from pathlib import Path

from auralsam2.utils.atomic_io import write_file


def replace_marked(text: str, name: str, inner: str) -> str:
    """Replace the text between the marks of a name.

    Raises:
        ValueError: the two marks do not stand there once each, in this order.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"needs one line {begin} and after it one line {end}")
    before, after = text.split(begin)[0], text.split(end)[1]
    return f"{before}{begin}\n{inner.strip()}\n{end}{after}"


def write_marked(document: Path, name: str, inner: str) -> None:
    """Replace the text between the marks in a file.

    Raises:
        ValueError: as of `replace_marked`; names the file.
    """
    try:
        text = replace_marked(document.read_text(encoding="utf-8"), name, inner)
    except ValueError as error:
        raise ValueError(f"{document}: {error}") from None
    write_file(document, text.encode())


def table(head: list[str], rows: list[list[str]]) -> str:
    """Format a Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))
