"""Text between two comments of a document, written by commands alone: `<!-- begin NAME -->` and `<!-- end NAME -->`."""

from __future__ import annotations

from pathlib import Path


def replace_marked(text: str, name: str, inner: str) -> str:
    """The document with other text between the marks of a name.

    Raises:
        ValueError: the two marks do not stand there once each, in this order.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"needs one line {begin} and after it one line {end}")
    before, after = text.split(begin)[0], text.split(end)[1]
    return f"{before}{begin}\n{inner.strip()}\n{end}{after}"


def write_marked(document: Path, name: str, inner: str) -> None:
    """The same in a file.

    Raises:
        ValueError: as of `replace_marked`; names the file.
    """
    try:
        text = replace_marked(document.read_text(encoding="utf-8"), name, inner)
    except ValueError as error:
        raise ValueError(f"{document}: {error}") from None
    write_whole(document, text)


def write_whole(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all."""
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))
