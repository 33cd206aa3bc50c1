"""Csv file of a data set, with line numbers."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from auralsam2.errors import InputError, quoted

_UNDECODABLE = "\ufffd"
_MOST_DIGITS = 15
_LONGEST_NAME = 240
"""Bytes of the name of a file or folder; file systems allow 255, an ending included."""


def plain_name(text: str, where: str) -> str:
    """Check that a text is the name of one file or folder.

    Args:
        text: the name.
        where: its location, for messages.

    Raises:
        InputError: it would lead out of its folder.
    """
    if text in ("", ".", "..") or not {"/", "\\", "\0"}.isdisjoint(text):
        raise InputError(f"{where} is not a plain name: {quoted(text)}")
    if len(text.encode(errors="replace")) > _LONGEST_NAME:
        raise InputError(f"{where} is longer than {_LONGEST_NAME} bytes: {quoted(text)}")
    return text


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        line: first line in the file, from 1; the header is line 1.
        cells: stripped text.
        columns: position of each column, by name.
    """

    line: int
    cells: tuple[str, ...]
    columns: Mapping[str, int]

    def text(self, column: str) -> str:
        """Return the text of a column, "" if missing; invalid UTF-8 is replaced."""
        position = self.columns[column]
        return self.cells[position] if position < len(self.cells) else ""

    def need(self, column: str) -> str:
        """Return the text of a column that must not be empty.

        Raises:
            InputError: it is empty, or not UTF-8.
        """
        text = self.text(column)
        if not text:
            raise InputError(f"column {column} is empty")
        if _UNDECODABLE in text:
            raise InputError(f"column {column} is not UTF-8: {quoted(text)}")
        return text

    def name(self, column: str) -> str:
        """Return the text of a column as the name of a file or folder.

        Raises:
            InputError: it is empty, or leads elsewhere.
        """
        return plain_name(self.need(column), f"column {column}")

    def number(self, column: str) -> int:
        """Return the text of a column as a non-negative integer.

        Raises:
            InputError: it is something else.
        """
        text = self.need(column)
        if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
            raise InputError(f"column {column} is not a number: {quoted(text)}")
        return int(text)


class Table:
    """A csv file with a header; comma-separated, UTF-8, any line ends.

    Args:
        path: the file.
        columns: the columns that will be asked for. The value is the position, from 0, that a column has where the
            header does not name it; None demands that the header does.

    Attributes:
        path: the file.

    Raises:
        InputError: the file cannot be read, or lacks a column.
    """

    def __init__(self, path: Path, columns: Mapping[str, int | None]) -> None:
        self.path = path
        self._columns: dict[str, int] = {}
        header = next(self._lines(), (1, ()))[1]
        for column, position in columns.items():
            if column in header:
                self._columns[column] = header.index(column)
            elif position is not None:
                self._columns[column] = position
            else:
                names = ", ".join(header)[:300] or "nothing"
                raise InputError(f"{path}: no column {column} in the header, which has {names}")

    def rows(self) -> Iterator[Row]:
        """Yield the rows in order; blank lines are skipped.

        Raises:
            InputError: the file cannot be read, or a quote in it is never closed.
        """
        lines = self._lines()
        next(lines, None)
        for line, cells in lines:
            yield Row(line, cells, self._columns)

    def _lines(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        first = 1
        try:
            with self.path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
                lines = csv.reader(file, strict=True)
                for cells in lines:
                    if cells:
                        yield first, tuple(cell.strip() for cell in cells)
                    first = lines.line_num + 1
        except csv.Error as error:
            raise InputError(f"{self.path}:{first}: not a row of comma-separated text ({error})") from error
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror})") from error
