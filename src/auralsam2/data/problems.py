"""What is wrong with a data set: one entry for each finding, told with the line of the csv file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from auralsam2.errors import InputError

Kind = Literal["row", "missing", "unreadable", "count", "size", "mono", "short", "damaged", "label"]
"""row: a line of the csv that makes no sense; missing, unreadable: of files; count: another number than published;
size: of pictures; mono, short, damaged: of sounds; label: what a label shows."""


class MissingError(InputError):
    """A file or folder that the data set lists is not there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One finding.

    Attributes:
        kind: what sort of finding it is.
        what: the finding, on one line.
        split: where it was found; "" for a row that belongs to no split.
        table: the csv file that lists the sample.
        line: the line of it, from 1; None where the finding is about the whole split.
        id: the sample, "" where the finding is not about one.
        excluded: the sample cannot be used and is left out.
    """

    kind: Kind
    what: str
    split: str
    table: Path
    line: int | None = None
    id: str = ""
    excluded: bool = False

    @property
    def counts(self) -> bool:
        """Whether the data set is another one because of it: a sample is left out, or a number is not as published."""
        return self.excluded or self.kind == "count"

    def __str__(self) -> str:
        place = self.table.name if self.line is None else f"{self.table.name}:{self.line}"
        return ": ".join(part for part in (place, self.id, self.what) if part)


def kind_of(error: InputError) -> Kind:
    """The kind of finding that an error of listing a sample is."""
    return "missing" if isinstance(error, MissingError) else "row"
