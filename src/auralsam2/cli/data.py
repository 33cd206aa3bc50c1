"""`auralsam2 data`: build and check data sets."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auralsam2.cli import options
from auralsam2.cli.options import DatasetOption
from auralsam2.errors import EXIT_DONE, EXIT_SOME_FAILED, UsageError

if TYPE_CHECKING:
    from auralsam2.data.base import DatasetReader, Problem
    from auralsam2.data.check import SplitReport

_MAX_LINES = 20
"""Problems of one kind that are printed; JSON has all of them."""

commands = typer.Typer(name="data", help="Build and check data sets.", no_args_is_help=True, rich_markup_mode=None)

BUILD_EXAMPLES = """
Examples:

\b
  auralsam2 data build-stampavs data/stamp               3400 clips at 256 pixels, about 2 GB
  auralsam2 data build-stampavs data/small --clips 20    a small data set for a trial
  auralsam2 data build-stampavs data/mine --stamps DIR   from your own images and sounds
"""


@commands.command("build-stampavs", epilog=BUILD_EXAMPLES)
def build_stampavs_command(
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Folder for the data set.")],
    stamps: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of NAME.png and NAME.ogg; default: tuxpaint-stamps-default."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Random seed; equal seeds give equal bytes.")] = 0,
    size: Annotated[int, typer.Option(metavar="PX", help="Side of the square frames, 32 to 1024.")] = 256,
    clips: Annotated[
        int,
        typer.Option(metavar="N", help="Training clips. Each other split has 100 clips per preset, at most N."),
    ] = 2000,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Number of processes; default: one per CPU core.")
    ] = None,
) -> None:
    """Build StampAVS: synthetic scenes of real images and sounds, with exact masks.

    Equal settings give equal bytes, whatever the number of processes. An interrupted build is resumed.
    """
    from auralsam2.cli.progress import frame_progress
    from auralsam2.stampavs import build

    built, started = 0, time.perf_counter()

    @contextmanager
    def progress(total: int) -> Iterator[Callable[[Any], None]]:
        with frame_progress("clips", total, shown=True) as advance:

            def count(clip: object) -> None:
                nonlocal built
                built += 1
                advance(clip)

            yield count

    plan = build.BuildPlan(stamps=stamps, seed=seed, size=size, clips=clips)
    facts = build.build_stampavs(out_dir, plan, workers=workers, progress=progress)
    seconds = time.perf_counter() - started
    for split, counts in facts["counts"].items():
        print(f"{split}: " + ", ".join(f"{count} {mix}" for mix, count in counts.items()))
    print(f"written: {out_dir}; {built} clips in {seconds:.0f} s, {built / seconds:.1f} per second")


REAL_EXAMPLES = """
Examples:

\b
  auralsam2 data build-realavs photographs data/real                 1100 clips at 256 pixels
  auralsam2 data build-realavs photographs data/real --train 0       the test split alone
"""


@commands.command("build-realavs", epilog=REAL_EXAMPLES)
def build_realavs_command(
    sources: Annotated[
        Path, typer.Argument(metavar="SOURCES", help="Folder with photos.json, backgrounds.csv and sounds.csv.")
    ],
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Folder for the data set.")],
    seed: Annotated[int, typer.Option(metavar="N", help="Random seed; equal seeds give equal bytes.")] = 0,
    size: Annotated[int, typer.Option(metavar="PX", help="Side of the square frames, 32 to 1024.")] = 256,
    train: Annotated[int, typer.Option(metavar="N", help="Number of training clips.")] = 1000,
    test: Annotated[int, typer.Option(metavar="N", help="Number of test clips, from held-out sources alone.")] = 100,
    exclude: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Categories to leave out; default: those that StampAVS never trains on."),
    ] = None,
) -> None:
    """Build RealAVS: scenes of photographic cutouts over photographs, with recordings and exact masks.

    Sources marked as held out occur in the test split alone. An interrupted build is resumed.
    """
    from auralsam2.cli.progress import frame_progress
    from auralsam2.stampavs.realavs import RealPlan, build_realavs

    excluded = None if exclude is None else tuple(name.strip() for name in exclude.split(",") if name.strip())
    plan = RealPlan(sources=sources, seed=seed, size=size, train=train, test=test, excluded=excluded)
    facts = build_realavs(out_dir, plan, progress=lambda total: frame_progress("clips", total, shown=True))
    for split, categories in facts["categories"].items():
        (count,) = facts["counts"][split].values()
        print(f"{split}: {count} clips; sounding: {', '.join(categories)}")
    print(f"written: {out_dir}")


@commands.command("sheet", epilog="Example:\n\n\b\n  auralsam2 data sheet data/stamp sheet.png --split test-seen")
def contact_sheet(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="Folder of a StampAVS data set.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.png", help="Image to write, .png or .jpg.")],
    split: Annotated[str | None, typer.Option(metavar="NAME", help="Only clips of this split.")] = None,
    mix: Annotated[
        str | None, typer.Option(metavar="standard|hard", help="Only clips of this difficulty preset.")
    ] = None,
    clips: Annotated[int, typer.Option(min=1, metavar="N", help="Number of clips.")] = 12,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Random seed of the choice of clips.")] = 0,
) -> None:
    """Draw a contact sheet of sample clips: frames with object outlines, red while they sound, and waveforms."""
    from auralsam2.stampavs.contact_sheet import draw_contact_sheet
    from auralsam2.stampavs.presets import PRESETS
    from auralsam2.stampavs.splits import SPLITS
    from auralsam2.utils.atomic_io import writing

    if split is not None:
        options.parse_choice("--split", split, SPLITS)
    if mix is not None:
        options.parse_choice("--mix", mix, tuple(preset.name for preset in PRESETS))
    if out.suffix.lower() not in (".png", ".jpg"):
        raise UsageError(f"{out}: must end in .png or .jpg")
    sheet = draw_contact_sheet(root, split=split, mix=mix, clips=clips, seed=seed)
    with writing(out):
        draft = out.with_name(f".{out.name}.part")
        sheet.save(draft, format="PNG" if out.suffix.lower() == ".png" else "JPEG", quality=85)
        draft.replace(out)
    print(f"written: {out}")


@commands.command("check", epilog="Example:\n\n\b\n  auralsam2 data check --dataset ref-avs --root data/REFAVS")
def check(
    dataset: DatasetOption,
    root: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the data set.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table, with every problem.")] = False,
) -> None:
    """Read every file of a data set, and compare its counts with the published ones.

    Lists files that are missing, unreadable, of a wrong size or mono, with their line in the csv file.
    The exit code is 1 if samples are excluded or counts differ.
    """
    from auralsam2.data import open_dataset

    reader = open_dataset(dataset, root)
    reports = [report for split in reader.splits if (report := _check_split(reader, split)) is not None]
    problems = [*reader.rows_without_split(), *(problem for report in reports for problem in report.problems)]
    complete = not any(problem.counts for problem in problems)
    if as_json:
        print(json.dumps(_as_json(reader, root, reports, problems, complete), indent=2))
    else:
        _print_tables(reader, root, reports, problems)
    raise typer.Exit(EXIT_DONE if complete else EXIT_SOME_FAILED)


def _check_split(reader: DatasetReader, split: str) -> SplitReport | None:
    """Check a split; returns None for an optional split that is absent."""
    from auralsam2.cli.progress import frame_progress
    from auralsam2.data.check import check_split

    listing = reader.listing(split)
    if not listing.rows and not reader.splits[split].rows:
        return None
    with frame_progress(f"{reader.name} {split}, clips", listing.clips, shown=True) as advance:
        return check_split(reader, listing, lambda: advance(None))


def _as_json(
    reader: DatasetReader, root: Path, reports: Iterable[SplitReport], problems: Iterable[Problem], complete: bool
) -> dict[str, Any]:
    return {
        "dataset": reader.name,
        "root": str(root),
        "table": str(reader.table.path),
        "fine": complete,
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
                "what": problem.message,
                "excluded": problem.excluded,
            }
            for problem in problems
        ],
    }


def _print_tables(reader: DatasetReader, root: Path, reports: Iterable[SplitReport], problems: list[Problem]) -> None:
    from rich.table import Table

    from auralsam2.cli.progress import stdout_console

    console = stdout_console()
    table = Table("split", "rows", "published", "clips", "published", "samples", "usable", box=None, pad_edge=False)
    for report in reports:
        counts = (report.rows, report.published.rows, report.clips, report.published.clips)
        numbers = (*counts, report.samples, report.usable)
        table.add_row(report.split, *("-" if number is None else str(number) for number in numbers))
    console.print(f"{reader.name} in {root}, listed by {reader.table.path}")
    console.print(table)
    numbers_by_kind: Counter[tuple[str, str]] = Counter()
    for problem in problems:
        key = (problem.split, problem.kind)
        numbers_by_kind[key] += 1
        if numbers_by_kind[key] <= _MAX_LINES:
            console.print(f"{'excluded' if problem.excluded else problem.kind}: {problem}", soft_wrap=True)
    for (split, kind), number in numbers_by_kind.items():
        if number > _MAX_LINES:
            of = f" of {split}" if split else ""
            console.print(f"and {number - _MAX_LINES} more{of} of kind {kind}; --json lists all")
    excluded = {(problem.split, problem.line) for problem in problems if problem.excluded}
    console.print(f"{len(problems)} problems, {len(excluded)} samples excluded")
