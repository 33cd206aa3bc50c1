"""`auralsam2 studio`. What needs torch or the extra `studio` is imported inside the command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from auralsam2.cli import options
from auralsam2.cli.options import DeviceOption, DtypeOption, ModelOption, ThreadsOption

commands = typer.Typer(rich_markup_mode=None)

EXAMPLES = """
Examples:

\b
  auralsam2 studio                                   prints the address, and opens the page
  auralsam2 studio clip.mp4 --model ref-avs          with a video, and a model that reads text
  auralsam2 studio --host 0.0.0.0 --token SECRET     for others, over plain HTTP
"""


@commands.command(epilog=EXAMPLES)
def studio(
    video: Annotated[Path | None, typer.Argument(metavar="VIDEO", help="A video to begin with.")] = None,
    model: ModelOption = "mini",
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Listen here; other than this machine needs --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="0 takes a free one.")] = 7860,
    token: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Secret of 16 letters or more; default: a random one.")
    ] = None,
    home: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where sessions are kept; default: your folder for data.")
    ] = None,
    max_upload: Annotated[str, typer.Option(metavar="SIZE", help="Largest video.")] = "2GB",
    max_minutes: Annotated[float, typer.Option(min=0.01, metavar="M", help="Longest video.")] = 20.0,
    sessions: Annotated[int, typer.Option(min=1, metavar="N", help="Sessions open at the same time.")] = 4,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Hear, click, correct and export in the browser.

    Serves a page to whoever has the printed address, from this machine alone unless told otherwise. Sessions are saved
    as they go. Needs the extra: pip install 'auralsam2[studio]'.
    """
    from auralsam2.studio import launch

    job = launch.StudioOptions(
        video=video,
        model=model,
        host=host,
        port=port,
        token=token,
        home=home,
        max_upload=options.parse_size("--max-upload", max_upload),
        max_minutes=max_minutes,
        sessions=sessions,
        open_page=open_page,
        device=options.parse_device(device),
        dtype=options.parse_dtype(dtype),
        threads=threads,
    )
    raise typer.Exit(launch.run_studio(job))
