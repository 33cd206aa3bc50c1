"""`auralsam2 data …`. What needs torch is imported inside the commands."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from auralsam2.cli import options
from auralsam2.cli.progress import frame_progress
from auralsam2.data import open_dataset
from auralsam2.errors import EXIT_DONE, EXIT_SOME_FAILED, UsageError
from auralsam2.utils.atomic_io import writing

if TYPE_CHECKING:
    from auralsam2.data.base import DatasetReader, Problem
    from auralsam2.data.check import SplitReport
    from auralsam2.stampavs.build import BuildPlan

_WIDE = 1000
_MOST_LINES = 20
"""Findings of one sort that are shown; JSON has all of them."""


def check_dataset(name: str, root: Path, *, as_json: bool = False) -> int:
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


def _check(reader: DatasetReader, split: str) -> SplitReport | None:
    """The report of a split; None of one that is not there and need not be."""
    listing = reader.listing(split)
    if not listing.rows and not reader.splits[split].rows:
        return None
    from auralsam2.data.check import check_split

    with frame_progress(f"{reader.name} {split}, clips", listing.clips, shown=True) as advance:
        return check_split(reader, listing, lambda: advance(None))


def _as_json(
    reader: DatasetReader, root: Path, reports: Iterable[SplitReport], problems: Iterable[Problem], fine: bool
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


def _show(reader: DatasetReader, root: Path, reports: Iterable[SplitReport], problems: list[Problem]) -> None:
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


def build_with_progress(out: Path, plan: BuildPlan, *, workers: int | None) -> None:
    """Write the data set; print how many clips each split has, and how many this run drew in how many seconds."""
    drawn, began = 0, time.perf_counter()

    @contextmanager
    def progress(total: int) -> Iterator[Callable[[Any], None]]:
        with frame_progress("clips", total, shown=True) as advance:

            def count(clip: object) -> None:
                nonlocal drawn
                drawn += 1
                advance(clip)

            yield count

    from auralsam2.stampavs.build import build_stampavs

    facts = build_stampavs(out, plan, workers=workers, progress=progress)
    seconds = time.perf_counter() - began
    for split, counts in facts["counts"].items():
        print(f"{split}: " + ", ".join(f"{count} {mix}" for mix, count in counts.items()))
    print(f"written: {out}; {drawn} clips in {seconds:.0f} s, {drawn / seconds:.1f} a second")


def write_contact_sheet(root: Path, out: Path, *, split: str | None, mix: str | None, clips: int, seed: int) -> None:
    """Draw sample clips into a picture and print its name."""
    from auralsam2.stampavs.contact_sheet import draw_contact_sheet
    from auralsam2.stampavs.presets import PRESETS
    from auralsam2.stampavs.splits import SPLITS

    if split is not None:
        options.parse_choice("--split", split, SPLITS)
    if mix is not None:
        options.parse_choice("--mix", mix, tuple(one.name for one in PRESETS))
    if out.suffix.lower() not in (".png", ".jpg"):
        raise UsageError(f"{out}: must end in .png or .jpg")
    picture = draw_contact_sheet(root, split=split, mix=mix, clips=clips, seed=seed)
    with writing(out):
        beside = out.with_name(f".{out.name}.part")
        picture.save(beside, format="PNG" if out.suffix.lower() == ".png" else "JPEG", quality=85)
        beside.replace(out)
    print(f"written: {out}")


commands = typer.Typer(name="data", help="Build and check data sets.", no_args_is_help=True, rich_markup_mode=None)


BUILD_EXAMPLES = """
Examples:

\b
  auralsam2 data build-stampavs data/stamp               3400 clips at 256 pixels, about 2 GB
  auralsam2 data build-stampavs data/small --clips 20    a small one, to try things out
  auralsam2 data build-stampavs data/mine --stamps DIR   of your own pictures and sounds
"""


@commands.command("build-stampavs", epilog=BUILD_EXAMPLES)
def data_build_stampavs(
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Folder for the data set.")],
    stamps: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of NAME.png and NAME.ogg; default: tuxpaint-stamps-default."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Draws everything; equal seeds give equal bytes.")] = 0,
    size: Annotated[int, typer.Option(metavar="PX", help="Side of the square frames, 32 to 1024.")] = 256,
    clips: Annotated[
        int, typer.Option(metavar="N", help="Training clips; other splits have 100 a mix, or N if that is less.")
    ] = 2000,
    workers: Annotated[int | None, typer.Option(min=1, metavar="N", help="Processes; default: one a core.")] = None,
) -> None:
    """Build StampAVS: scenes of real pictures and real sounds with exact masks.

    Equal settings give equal bytes, whatever the number of processes. A build that was stopped goes on where it was.
    """
    from auralsam2.cli.data import build_with_progress
    from auralsam2.stampavs.build import BuildPlan

    build_with_progress(out_dir, BuildPlan(stamps=stamps, seed=seed, size=size, clips=clips), workers=workers)


@commands.command("sheet", epilog="Example:\n\n\b\n  auralsam2 data sheet data/stamp sheet.png --split test-seen")
def data_sheet(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="Folder of a StampAVS.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.png", help="Picture to write, .png or .jpg.")],
    split: Annotated[str | None, typer.Option(metavar="NAME", help="Only clips of this split.")] = None,
    mix: Annotated[str | None, typer.Option(metavar="standard|hard", help="Only clips of this mix.")] = None,
    clips: Annotated[int, typer.Option(min=1, metavar="N", help="How many clips.")] = 12,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Draws which.")] = 0,
) -> None:
    """Draw sample clips: frames with the outlines of all objects, red where they sound, and waveforms."""
    from auralsam2.cli.data import write_contact_sheet

    write_contact_sheet(root, out, split=split, mix=mix, clips=clips, seed=seed)


@commands.command("check", epilog="Example:\n\n\b\n  auralsam2 data check --dataset ref-avs --root data/REFAVS")
def data_check(
    dataset: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Of v1s, v1m, v2, v2-semantic, s4, ms3, ref-avs, stampavs, stampavs-ref, vpo-ss, vpo-ms, vpo-msmi, "
            "avs-synthetic.",
        ),
    ],
    root: Annotated[Path, typer.Option(metavar="DIR", help="Its folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with every finding.")] = False,
) -> None:
    """Open every file of a data set, and compare its counts with the published ones.

    Tells what is missing, cannot be read, has a wrong size or one channel of sound, with the line of the csv file.
    The exit code is 1 where samples are left out or counts differ.
    """
    from auralsam2.cli.data import check_dataset

    raise typer.Exit(check_dataset(dataset, root, as_json=as_json))
