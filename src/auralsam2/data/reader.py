"""What every data set's reader has in common: from rows of a csv file to samples, whatever is wrong with some."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from auralsam2.data.problems import Problem, kind_of
from auralsam2.data.samples import Sample
from auralsam2.data.table import Row, Table
from auralsam2.errors import InputError, UsageError


@dataclass(frozen=True, slots=True)
class Published:
    """The size of a split as published; None where nobody states it.

    Attributes:
        rows: lines of the csv.
        clips: different clips.
    """

    rows: int | None = None
    clips: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """What the csv and the folders say of a split; no picture or sound has been opened.

    Attributes:
        samples: those whose files are all there, in the published order.
        problems: what was found on the way.
        rows: lines of the csv that belong to the split.
        clips: number of different clips among `samples`.
    """

    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...]
    rows: int
    clips: int


class Reader(ABC):
    """Lists the samples of a data set.

    Args:
        name: of the data set.
        table: the csv file.
        splits: the published splits and their sizes.

    Attributes:
        name, table, splits: as given.
        frame_size: (width, height) in pixels that every frame has, None where they vary.
    """

    frame_size: ClassVar[tuple[int, int] | None] = None
    ignored: ClassVar[tuple[str, ...]] = ()
    """Values of the split column that are published, but are no splits to use."""
    unique: ClassVar[bool] = True
    """Whether a second row of one id is a mistake; otherwise it gets an id of its own."""

    def __init__(self, name: str, table: Table, splits: Mapping[str, Published]) -> None:
        self.name = name
        self.table = table
        self.splits = splits

    @abstractmethod
    def build(self, rows: Sequence[Row], split: str) -> Sample:
        """The sample of one group of rows, its files looked for.

        Raises:
            MissingError: a file is not there.
            InputError: the rows make no sense.
        """

    def split_of(self, row: Row) -> str:
        """The split to which a row belongs."""
        return row.text("split")

    def wanted(self, row: Row) -> bool:
        """Whether a row belongs to this data set; a csv file can list several."""
        return True

    def groups(self, rows: Iterable[Row]) -> Iterable[Sequence[Row]]:
        """Rows that make one sample together, in the published order."""
        return ([row] for row in rows)

    def remarks(self) -> list[str]:
        """What is to be said of the data set as a whole."""
        return []

    def listing(self, split: str) -> Listing:
        """List a split.

        Raises:
            UsageError: there is no such split.
            UnavailableError: a part of the data set that the whole split needs is not there.
            InputError: the csv file cannot be read.
        """
        if split not in self.splits:
            raise UsageError(f"--split {split}: {self.name} has {', '.join(self.splits)}")
        rows = [row for row in self.table.rows() if self.split_of(row) == split and self.wanted(row)]
        samples: list[Sample] = []
        problems: list[Problem] = []
        lines: dict[str, list[int]] = {}
        for group in self.groups(rows):
            line = group[0].line
            try:
                sample = self.build(group, split)
                before = lines.setdefault(sample.id, [])
                before.append(line)
                if len(before) > 1 and self.unique:
                    raise InputError(f"listed before, in line {before[0]}")
            except InputError as error:
                problems.append(self.problem(kind_of(error), str(error), split, line, _id_of(group[0]), excluded=True))
                continue
            if len(before) > 1:
                sample = dataclasses.replace(sample, id=f"{sample.id}.{len(before)}")
            samples.append(sample)
        clips = len({sample.clip for sample in samples})
        return Listing(samples=tuple(samples), problems=tuple(problems), rows=len(rows), clips=clips)

    def strays(self) -> list[Problem]:
        """The rows that belong to no split."""
        known = {*self.splits, *self.ignored}
        return [
            self.problem("row", f"split {self.split_of(row)!r} is none of {', '.join(self.splits)}", "", row.line, "")
            for row in self.table.rows()
            if self.wanted(row) and self.split_of(row) not in known
        ]

    def problem(self, kind, what: str, split: str, line: int | None, id: str, *, excluded: bool = False) -> Problem:
        """A finding about a line of the csv file."""
        return Problem(
            kind=kind, what=what, split=split, table=self.table.path, line=line, id=id, excluded=excluded
        )


def _id_of(row: Row) -> str:
    """How to call a sample that could not be made."""
    return next((cell for column in ("uid", "name", "video_id", "img_Id", "inst_id")
                 if column in row.columns and (cell := row.cells[row.columns[column]: row.columns[column] + 1])), ("",))[0]
