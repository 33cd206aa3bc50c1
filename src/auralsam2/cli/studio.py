"""`auralsam2 studio`: the browser application."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from auralsam2.cli import options
from auralsam2.cli.options import (
    BackendOption,
    DeviceOption,
    DtypeOption,
    ImageSizeOption,
    ModelOption,
    ThreadsOption,
)

EXAMPLES = """
Examples:

\b
  auralsam2 studio                                   print the address and open the page
  auralsam2 studio clip.mp4 --model ref-avs          open a video, with a model that takes text
  auralsam2 studio --host 0.0.0.0 --token-file FILE  serve other machines, over plain HTTP
"""


def studio(
    video: Annotated[Path | None, typer.Argument(metavar="VIDEO", help="Video to open.")] = None,
    model: ModelOption = "mini",
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Address to listen on; an address that other machines reach needs a token."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 for any free port.")] = 7860,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            envvar="AURALSAM2_STUDIO_TOKEN",
            help="Secret of at least 16 characters; default: random. Other users see it in the list of processes.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with the secret, in place of --token.")
    ] = None,
    home: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the sessions; default: in your data folder.")
    ] = None,
    max_upload: Annotated[str, typer.Option(metavar="SIZE", help="Maximum file size of a video.")] = "2GB",
    max_minutes: Annotated[float, typer.Option(min=0.01, metavar="M", help="Maximum length of a video.")] = 20.0,
    sessions: Annotated[int, typer.Option(min=1, metavar="N", help="Maximum number of open sessions.")] = 4,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    backend: BackendOption = "torch",
    image_size: ImageSizeOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Segment videos in the browser with audio, text and clicks; correct and export the masks.

    Prints the address of the page. By default only this machine can open it. Sessions are saved automatically.
    Needs the extra: pip install 'auralsam2[studio]'.
    """
    from auralsam2.studio import launch

    code = launch.run_studio(
        video=video,
        model=model,
        host=host,
        port=port,
        token=token,
        token_file=token_file,
        home=home,
        max_upload=options.parse_size("--max-upload", max_upload),
        max_minutes=max_minutes,
        sessions=sessions,
        open_page=open_page,
        device=options.parse_device(device),
        dtype=options.parse_dtype(dtype),
        backend=options.parse_backend(backend),
        image_size=image_size,
        threads=threads,
    )
    raise typer.Exit(code)
