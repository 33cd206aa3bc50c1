"""`auralsam2 bench`: speed and memory on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from auralsam2.cli import options
from auralsam2.cli.options import DeviceOption, ThreadsOption

commands = typer.Typer(
    name="bench", help="Measure speed and memory on this machine.", no_args_is_help=True, rich_markup_mode=None
)


@commands.command("speed")
def bench_speed(
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME|DIR", help="Model; default: random weights at hiera-large size."),
    ] = None,
    dtype: Annotated[str, typer.Option(metavar="LIST", help="Precisions to measure.")] = "fp32,bf16",
    frames: Annotated[int, typer.Option(min=2, metavar="N", help="Frames of the generated video.")] = 10,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure the seconds per frame of each stage, and the overhead of audio prompts.

    The overhead is the time of the whole pipeline with audio prompts, divided by its time with one point prompt.
    Both run in turn on the same parts of one video.
    """
    from auralsam2.bench.report import report_speed

    report_speed(
        model,
        _dtypes(dtype),
        frames=frames,
        device=device,
        threads=threads,
        as_json=as_json,
    )


@commands.command("prompting")
def bench_prompting(
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME|DIR", help="Model; default: random weights.")
    ] = None,
    backbone: Annotated[
        str, typer.Option(metavar="large|base-plus", help="Size of SAM 2 with random weights.")
    ] = "large",
    dtype: Annotated[str, typer.Option(metavar="LIST", help="Precisions to measure.")] = "fp32",
    frames: Annotated[int, typer.Option(min=1, metavar="N", help="Frames of the generated video.")] = 5,
    rounds: Annotated[int, typer.Option(min=1, metavar="N", help="Sessions of each kind.")] = 2,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure the time that audio adds to points and a box, and the time of a click on an encoded frame.

    Runs sessions with and without sound on the same video, in turn, then corrects masks of its frames.
    """
    from auralsam2.bench.report import report_prompting

    report_prompting(
        model,
        _dtypes(dtype),
        backbone=options.parse_choice("--backbone", backbone, ("large", "base-plus")),
        frames=frames,
        rounds=rounds,
        device=device,
        threads=threads,
        as_json=as_json,
    )


@commands.command("memory")
def bench_memory(
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME|DIR", help="Model; default: small, random weights.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.1, metavar="M", help="Length of the longer video.")] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure the peak memory on a video of one minute and on a longer one, 1280x720."""
    from auralsam2.bench.report import report_memory

    report_memory(model, minutes=minutes, as_json=as_json)


def _dtypes(names: str) -> tuple[str, ...]:
    return tuple(options.parse_choice("--dtype", name, ("fp32", "bf16", "fp16")) for name in names.split(","))
