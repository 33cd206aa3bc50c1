"""Manifest: a table with one video a row, in CSV, JSON Lines or Parquet."""

from __future__ import annotations

import csv
import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from auralsam2.batch.run_options import RunOptions
from auralsam2.data.csv_table import plain_name
from auralsam2.errors import InputError, UnavailableError, quoted
from auralsam2.utils.strict_json import parse_json

COLUMNS = ("uri", "id", "start", "end", "text", "prompts", "audio")
"""Columns of a manifest. Only `uri` is mandatory; an empty cell means the value of the command."""
SUFFIXES = (".csv", ".jsonl", ".ndjson", ".parquet")
ERROR = "error"
"""Column of a list of failures, which is a manifest too."""
_MAX_LINE = 1 << 20
"""Maximum length of a line of JSON, in characters."""
_Cells = tuple[Mapping[str, Any], str | None]


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """One video of a manifest.

    Attributes:
        number: position in the manifest, from 1.
        uri: path or URI of the video; relative paths start at the folder of the manifest.
        id: name of the result folder, unique in the manifest. Default: the name of the video without its ending.
        start, end: part of the video in seconds; None for the value of the command.
        text: referring expression; None for the value of the command.
        prompts: JSON file with prompts; None for the prompts of the command.
        audio: file with the sound, or `none`; None for the value of the command.
        error: reason for which the row cannot be used; None for a valid row.
        values: the cells of the known columns, as given.
    """

    number: int
    uri: str = ""
    id: str = ""
    start: float | None = None
    end: float | None = None
    text: str | None = None
    prompts: str | None = None
    audio: str | None = None
    error: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


class Manifest:
    """Rows of a manifest file, read one after another.

    Args:
        path: CSV with a header, JSON Lines (`.jsonl`, `.ndjson`) or Parquet, by the ending of the name.

    Attributes:
        path: the file.
        unused: names of columns that have no meaning, known after the first row has been read.

    Raises:
        InputError: the name has another ending.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(f"{path}: a manifest ends in {', '.join(SUFFIXES)}")
        self.path = path
        self.unused: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[ManifestRow]:
        """Yield the rows in order; a row with an error yields too.

        Memory grows by eight bytes of hash for each row, against which its id is compared.

        Raises:
            InputError: the file cannot be read, or has no column `uri`.
            UnavailableError: pyarrow, which reads Parquet, is not installed.
        """
        ids: dict[bytes, int] = {}
        for number, (cells, fault) in enumerate(self._cells(), start=1):
            row = self._row(number, cells, fault)
            if row.error is None:
                key = hashlib.blake2b(row.id.encode(errors="surrogatepass"), digest_size=8).digest()
                first = ids.setdefault(key, number)
                if first != number:
                    text = f"id {quoted(row.id)} is the id of row {first} too: give each row its own in column id"
                    row = ManifestRow(number=number, uri=row.uri, id=row.id, values=row.values, error=text)
            yield row

    def _cells(self) -> Iterator[_Cells]:
        """Yield the cells of each row by column, and the reason for which the row cannot be read."""
        readers = {".csv": self._csv, ".parquet": self._parquet}
        columns_known = False
        try:
            for cells, fault in readers.get(self.path.suffix.lower(), self._json_lines)():
                if not columns_known and fault is None:
                    self._check_columns(cells)
                    columns_known = True
                yield cells, fault
        except (OSError, ValueError, csv.Error) as error:
            raise InputError(f"{self.path}: cannot be read ({error})") from error

    def _check_columns(self, cells: Iterable[str]) -> None:
        names = tuple(cells)
        if "uri" not in names:
            raise InputError(f"{self.path}: no column uri; it has {quoted(', '.join(map(str, names)))}")
        self.unused = tuple(name for name in names if name not in (*COLUMNS, ERROR))

    def _csv(self) -> Iterator[_Cells]:
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            self._check_columns(reader.fieldnames or ())
            for cells in reader:
                yield cells, "has more cells than the header" if None in cells else None

    def _json_lines(self) -> Iterator[_Cells]:
        with self.path.open(encoding="utf-8-sig") as file:
            while line := file.readline(_MAX_LINE):
                if len(line) == _MAX_LINE:
                    raise ValueError(f"a line is longer than {_MAX_LINE} characters")
                if not line.strip():
                    continue
                try:
                    cells = parse_json(line)
                except ValueError as error:
                    yield {}, f"is not JSON ({error})"
                    continue
                yield (cells, None) if isinstance(cells, dict) else ({}, "is not a JSON object")

    def _parquet(self) -> Iterator[_Cells]:
        try:
            import pyarrow.parquet as parquet
        except ImportError as error:
            raise UnavailableError(
                f"{self.path}: reading Parquet needs pyarrow: pip install 'auralsam2[parquet]'"
            ) from error
        with parquet.ParquetFile(self.path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for cells in batch.to_pylist():
                    yield cells, None

    def _row(self, number: int, cells: Mapping[str, Any], fault: str | None) -> ManifestRow:
        values = {name: cells[name] for name in COLUMNS if cells.get(name) not in (None, "")}
        try:
            if fault is not None:
                raise InputError(f"row {number} {fault}")
            return self._parsed(number, values)
        except InputError as error:
            uri, name = (str(values.get(column, "")) for column in ("uri", "id"))
            return ManifestRow(number=number, uri=uri, id=name, values=values, error=str(error))

    def _parsed(self, number: int, values: Mapping[str, Any]) -> ManifestRow:
        if "uri" not in values:
            raise InputError("column uri is empty")
        uri = self._location(_text(values, "uri"))
        start, end = (_seconds(values, column) for column in ("start", "end"))
        if start is not None and end is not None and end <= start:
            raise InputError(f"end {end:g} is not after start {start:g}")
        audio = _text(values, "audio") if "audio" in values else None
        return ManifestRow(
            number=number,
            uri=uri,
            id=plain_name(_text(values, "id") if "id" in values else default_id(uri), "id"),
            start=start,
            end=end,
            text=_text(values, "text") if "text" in values else None,
            prompts=self._location(_text(values, "prompts")) if "prompts" in values else None,
            audio=audio if audio in (None, "none") else self._location(audio),
            values=values,
        )

    def _location(self, text: str) -> str:
        """Return a URI unchanged, and a path joined to the folder of the manifest."""
        return text if "://" in text else str(self.path.parent / Path(text).expanduser())


def default_id(uri: str) -> str:
    """Return the name of a video without its folder and its ending."""
    path = unquote(urlsplit(uri).path) if "://" in uri else uri.replace("\\", "/")
    return PurePosixPath(path).stem


@dataclass(frozen=True, kw_only=True)
class SelectedRows:
    """Rows of a run: those of its shard, the largest files first where several workers share them.

    Attributes:
        rows: a manifest; is read on each iteration.
        options: of the run.
    """

    rows: Iterable[ManifestRow]
    options: RunOptions

    def __iter__(self) -> Iterator[ManifestRow]:
        """Yield the rows."""
        options = self.options
        chosen = itertools.islice((row for row in self.rows if options.shard.holds(row.number)), options.limit)
        return largest_first(chosen) if options.jobs > 1 else chosen


def largest_first(rows: Iterable[ManifestRow], window: int = 1000) -> Iterator[ManifestRow]:
    """Yield rows with the largest files first, so that no large video is alone at the end.

    Args:
        rows: the rows.
        window: number of rows that are sorted and in memory at a time.
    """
    waiting = iter(rows)
    while part := list(itertools.islice(waiting, window)):
        yield from sorted(part, key=lambda row: -_bytes(row.uri))


def _bytes(uri: str) -> int:
    try:
        return Path(uri).stat().st_size
    except (OSError, ValueError):
        return 0


def _text(values: Mapping[str, Any], column: str) -> str:
    value = values[column]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"column {column} is {quoted(value)}, expected text")
    return str(value)


def _seconds(values: Mapping[str, Any], column: str) -> float | None:
    """Return a number of seconds of 0 or more; None for an empty cell."""
    if column not in values:
        return None
    try:
        value = math.nan if isinstance(values[column], bool) else float(values[column])
    except (TypeError, ValueError):
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"column {column} is {quoted(values[column])}, expected a number of seconds")
    return value
