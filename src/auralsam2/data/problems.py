"""What is wrong with a data set: one entry for each finding, told with the line of the csv file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from auralsam2.errors import InputError

Kind = Literal["row", "missing", "unreadable", "count", "size", "mono", "short", "damaged", "label", "extra", "remark"]
"""row: a line of the csv that makes no sense; missing, unreadable: of files; count: another number than published; size:
of pictures; mono, short, damaged: of sounds; label: what a label shows; extra: files that nothing lists; remark: on the
data set as a whole."""


class MissingError(InputError):
    """A file or folder that the data set lists is not there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One finding.

    Attributes:
        kind: what sort of finding it is.
        what: the finding, on one line.
        split: where it was found; "" for the data set as a whole.
        table: the csv file that lists the sample, None where the finding is not about a line of it.
        line: that line, from 1.
        id: the sample, "" where the finding is not about one.
        excluded: the sample cannot be used and is left out.
    """

    kind: Kind
    what: str
    split: str = ""
    table: Path | None = None
    line: int | None = None
    id: str = ""
    excluded: bool = False

    def __str__(self) -> str:
        place = f"{self.table.name}:{self.line}: " if self.table is not None and self.line is not None else ""
        return f"{place}{self.id}{': ' if self.id else ''}{self.what}"


def kind_of(error: InputError) -> Kind:
    """The kind of finding that an error of listing a sample is."""
    return "missing" if isinstance(error, MissingError) else "row"
