"""What every data set's reader has in common: from rows of a csv file to samples, whatever is wrong with some."""

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


@dataclass(frozen=True, slots=True)
class PublishedCounts:
    """The size of a split as published; None where nobody states it.

    Attributes:
        rows: lines of the csv.
        clips: different clips.
    """

    rows: int | None = None
    clips: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitListing:
    """What the csv and the folders say of a split; no picture or sound has been opened.

    Attributes:
        split: its published name.
        samples: those whose files are all there, in the published order.
        problems: what was found on the way; each one left a sample out.
        rows: lines of the csv that belong to the split.
        groups: samples that these rows make, the ones left out among them.
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
        name: of the data set.
        table: the csv file.
        splits: the published splits and their sizes.

    Attributes:
        name, table, splits: as given.
        names: the column of the csv that tells one sample from another.
        aliases: other names of splits.
        ignored: values of the split column that are published, but are no splits to use.
        unique: whether a second row of one id is a mistake; otherwise it gets an id of its own.
        frame_size: (width, height) in pixels that every frame has, None where they vary.
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

    def listing(self, split: str) -> SplitListing:
        """List a split.

        Args:
            split: its published name, or an alias.

        Raises:
            UsageError: there is no such split.
            UnavailableError: a file that the whole split needs is not there.
            InputError: the csv file cannot be read.
        """
        split = self.aliases.get(split, split)
        if split not in self.splits:
            known = ", ".join((*self.splits, *self.aliases))
            raise UsageError(f"`split={split}`: {self.name} has no such split; choose from {known}")
        rows = [row for row in self.table.rows() if self.wanted(row) and self.split_of(row) == split]
        samples: list[Sample] = []
        problems: list[Problem] = []
        seen: dict[str, list[int]] = {}
        groups = list(self.groups(rows))
        for group in groups:
            line = group[0].line
            try:
                sample = self.build(group, split)
                lines = seen.setdefault(sample.id, [])
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

    def strays(self) -> list[Problem]:
        """The rows that belong to no split.

        Raises:
            InputError: the csv file cannot be read.
        """
        known = {*self.splits, *self.ignored}
        return [
            self._left_out(row, InputError(f"split {self.split_of(row)!r} is none of {', '.join(self.splits)}"), "")
            for row in self.table.rows()
            if self.wanted(row) and self.split_of(row) not in known
        ]

    def _left_out(self, row: Row, error: InputError, split: str) -> Problem:
        return Problem(
            kind=kind_of(error),
            what=str(error),
            split=split,
            table=self.table.path,
            line=row.line,
            id=row.text(self.names),
            excluded=True,
        )
