"""`auralsam2 data …`. What needs torch is imported inside the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    from auralsam2.apps.stampavs import build
    from auralsam2.data.stampavs.build import Plan

    build(out_dir, Plan(stamps=stamps, seed=seed, size=size, clips=clips), workers=workers)


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
    from auralsam2.apps.stampavs import sheet

    sheet(root, out, split=split, mix=mix, clips=clips, seed=seed)


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
    from auralsam2.apps.check import check

    raise typer.Exit(check(dataset, root, as_json=as_json))
