"""Base class of the data set readers: from rows of a csv file to samples and problems."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from auralsam2.data.csv_table import Row, Table
from auralsam2.data.sample import Sample
from auralsam2.errors import AuralError, InputError, UsageError, as_aural

Kind = Literal["row", "missing", "unreadable", "count", "size", "mono", "short", "damaged", "label"]
"""row: an invalid line of the csv; missing, unreadable: a file; count: another number than published; size: of images;
mono, short, damaged: audio; label: content of a label."""


class MissingError(InputError):
    """A file or folder of the data set is missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Problem of a sample, a split or a row.

    Attributes:
        kind: kind of problem.
        message: description on one line.
        split: name of the split; "" for a row without one.
        table: the csv file.
        line: line of the csv file, from 1; None for a problem of the whole split.
        id: id of the sample; "" for none.
        excluded: the sample is left out.
    """

    kind: Kind
    message: str
    split: str
    table: Path
    line: int | None = None
    id: str = ""
    excluded: bool = False

    @property
    def counts(self) -> bool:
        """Whether the data set differs from the published one: a sample is left out, or a count differs."""
        return self.excluded or self.kind == "count"

    def __str__(self) -> str:
        place = self.table.name if self.line is None else f"{self.table.name}:{self.line}"
        return ": ".join(part for part in (place, self.id, self.message) if part)


def kind_of(error: InputError) -> Kind:
    """Return the kind of problem of an error."""
    return "missing" if isinstance(error, MissingError) else "row"


@dataclass(frozen=True, slots=True)
class PublishedCounts:
    """Published size of a split; None if unknown.

    Attributes:
        rows: lines of the csv.
        clips: different clips.
    """

    rows: int | None = None
    clips: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitListing:
    """Samples of a split according to csv and folders; no image or audio file is opened.

    Attributes:
        split: its published name.
        samples: samples with all files, in the published order.
        problems: problems of the samples that are left out.
        rows: lines of the csv in the split.
        groups: number of samples, including those left out.
    """

    split: str
    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...]
    rows: int
    groups: int

    @property
    def clips(self) -> int:
        """Number of different clips among the samples."""
        return len({sample.clip for sample in self.samples})


class DatasetReader(ABC):
    """Lists the samples of a data set.

    Args:
        name: name of the data set.
        table: the csv file.
        splits: published splits and their sizes.

    Attributes:
        name, table, splits: the arguments.
        names: csv column that identifies a sample.
        aliases: other names of splits.
        ignored: published values of the split column that are not usable splits.
        unique: whether a second row with the same id is an error; otherwise its id gets a number.
        frame_size: (width, height) of all frames in pixels; None if they vary.
    """

    names: ClassVar[str] = "uid"
    aliases: ClassVar[Mapping[str, str]] = {}
    ignored: ClassVar[tuple[str, ...]] = ()
    unique: ClassVar[bool] = True
    frame_size: ClassVar[tuple[int, int] | None] = None

    def __init__(self, name: str, table: Table, splits: Mapping[str, PublishedCounts]) -> None:
        self.name = name
        self.table = table
        self.splits = splits

    @abstractmethod
    def build(self, rows: Sequence[Row], split: str) -> Sample:
        """Build the sample of a group of rows.

        Raises:
            MissingError: a file is missing.
            InputError: the rows are invalid.
        """

    def split_of(self, row: Row) -> str:
        """Return the split of a row."""
        return row.text("split")

    def includes(self, row: Row) -> bool:
        """Whether a row belongs to this data set; a csv file can list several."""
        return True

    def groups(self, rows: Iterable[Row]) -> Iterable[Sequence[Row]]:
        """Group the rows of one sample, in the published order."""
        return ([row] for row in rows)

    def listing(self, split: str) -> SplitListing:
        """List a split.

        Args:
            split: its published name, or an alias.

        Raises:
            UsageError: there is no such split.
            UnavailableError: a file of the whole split is missing.
            InputError: the csv file cannot be read.
        """
        split = self.aliases.get(split, split)
        if split not in self.splits:
            known = ", ".join((*self.splits, *self.aliases))
            raise UsageError(f"`split={split}`: {self.name} has no such split; choose from {known}")
        rows = [row for row in self.table.rows() if self.includes(row) and self.split_of(row) == split]
        samples: list[Sample] = []
        problems: list[Problem] = []
        lines_of: dict[str, list[int]] = {}
        groups = list(self.groups(rows))
        for group in groups:
            line = group[0].line
            try:
                sample = self.build(group, split)
                lines = lines_of.setdefault(sample.id, [])
                lines.append(line)
                if len(lines) > 1 and self.unique:
                    raise InputError(f"listed before, in line {lines[0]}")
            except InputError as error:
                problems.append(self._left_out(group[0], error, split))
                continue
            except AuralError:
                raise
            except Exception as error:  # such as the OSError of a name that is too long
                problems.append(self._left_out(group[0], InputError(str(as_aural(error))), split))
                continue
            number = len(lines)
            samples.append(sample if number == 1 else dataclasses.replace(sample, id=f"{sample.id}.{number}"))
        return SplitListing(
            split=split, samples=tuple(samples), problems=tuple(problems), rows=len(rows), groups=len(groups)
        )

    def rows_without_split(self) -> list[Problem]:
        """Return the rows without a known split, as problems.

        Raises:
            InputError: the csv file cannot be read.
        """
        known = {*self.splits, *self.ignored}
        return [
            self._left_out(row, InputError(f"split {self.split_of(row)!r} is none of {', '.join(self.splits)}"), "")
            for row in self.table.rows()
            if self.includes(row) and self.split_of(row) not in known
        ]

    def _left_out(self, row: Row, error: InputError, split: str) -> Problem:
        return Problem(
            kind=kind_of(error),
            message=str(error),
            split=split,
            table=self.table.path,
            line=row.line,
            id=row.text(self.names),
            excluded=True,
        )
