"""`auralsam2 data check`: what a data set has, beside what it should have."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from auralsam2.apps.progress import frames_bar
from auralsam2.data import open_dataset
from auralsam2.data.check import SplitReport, check_split
from auralsam2.data.problems import Problem
from auralsam2.data.reader import Reader
from auralsam2.errors import EXIT_DONE, EXIT_SOME_FAILED

_WIDE = 1000
_MOST_LINES = 20
"""Findings of one sort that are shown; JSON has all of them."""


def check(name: str, root: Path, *, as_json: bool = False) -> int:
    """Check a data set and print the findings.

    Args:
        name: of the data set.
        root: its folder.
        as_json: print one JSON object instead of a table.

    Returns:
        the exit code: 0, or 1 where samples are left out or counts differ.

    Raises:
        UsageError: there is no such data set.
        UnavailableError: the folder holds something else.
        InputError: the csv file cannot be read.
    """
    reader = open_dataset(name, root)
    reports = [report for split in reader.splits if (report := _check(reader, split)) is not None]
    problems = [*reader.strays(), *(problem for report in reports for problem in report.problems)]
    fine = not any(problem.counts for problem in problems)
    if as_json:
        print(json.dumps(_as_json(reader, root, reports, problems, fine), indent=2))
    else:
        _show(reader, root, reports, problems)
    return EXIT_DONE if fine else EXIT_SOME_FAILED


def _check(reader: Reader, split: str) -> SplitReport | None:
    """The report of a split; None of one that is not there and need not be."""
    listing = reader.listing(split)
    if not listing.rows and not reader.splits[split].rows:
        return None
    with frames_bar(f"{reader.name} {split}, clips", listing.clips, shown=True) as advance:
        return check_split(reader, listing, lambda: advance(None))


def _as_json(
    reader: Reader, root: Path, reports: Iterable[SplitReport], problems: Iterable[Problem], fine: bool
) -> dict[str, Any]:
    return {
        "dataset": reader.name,
        "root": str(root),
        "table": str(reader.table.path),
        "fine": fine,
        "splits": [
            {
                "split": report.split,
                "rows": report.rows,
                "published_rows": report.published.rows,
                "clips": report.clips,
                "published_clips": report.published.clips,
                "samples": report.samples,
                "usable": report.usable,
            }
            for report in reports
        ],
        "problems": [
            {
                "kind": problem.kind,
                "split": problem.split,
                "line": problem.line,
                "id": problem.id,
                "what": problem.what,
                "excluded": problem.excluded,
            }
            for problem in problems
        ],
    }


def _show(reader: Reader, root: Path, reports: Iterable[SplitReport], problems: list[Problem]) -> None:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _WIDE  # a file or another program has no edge at which to wrap
    table = Table("split", "rows", "published", "clips", "published", "samples", "usable", box=None, pad_edge=False)
    for report in reports:
        there = (report.rows, report.published.rows, report.clips, report.published.clips)
        numbers = (*there, report.samples, report.usable)
        table.add_row(report.split, *("-" if number is None else str(number) for number in numbers))
    console.print(f"{reader.name} in {root}, listed by {reader.table.path}")
    console.print(table)
    shown: Counter[tuple[str, str]] = Counter()
    for problem in problems:
        sort = (problem.split, problem.kind)
        shown[sort] += 1
        if shown[sort] <= _MOST_LINES:
            console.print(f"{'left out' if problem.excluded else problem.kind}: {problem}", soft_wrap=True)
    for (split, kind), number in shown.items():
        if number > _MOST_LINES:
            of = f" of {split}" if split else ""
            console.print(f"and {number - _MOST_LINES} more{of} of the sort {kind}; --json lists them all")
    left_out = {(problem.split, problem.line) for problem in problems if problem.excluded}
    console.print(f"{len(problems)} findings, {len(left_out)} samples left out")
