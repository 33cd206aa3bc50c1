"""`auralsam2 live`: masks of a camera, a stream or a pipe while it runs."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auralsam2.cli import options
from auralsam2.cli.options import (
    AudioTrackOption,
    BackendOption,
    DeviceOption,
    DtypeOption,
    FpsOption,
    ImageSizeOption,
    ModelOption,
    ThreadsOption,
)
from auralsam2.errors import EXIT_DONE, UsageError, message_line
from auralsam2.utils import signals

if TYPE_CHECKING:
    from auralsam2.live import LiveSegmentation
    from auralsam2.outputs.live_folder import LiveFolder

LIVE_FORMATS = ("overlay", "masks", "rows")
EXAMPLES = """
Examples:

\b
  auralsam2 live rtsp://camera/stream                   one mask per second, a clip window late
  auralsam2 live rtsp://camera/stream --latency 1       a second late, with more computation
  ffmpeg -f v4l2 -i /dev/video0 -f pulse -i default -f mpegts - | auralsam2 live - --json
  ffmpeg -f x11grab -i :0 -f pulse -i default.monitor -f mpegts - | auralsam2 live -
"""


def live(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Address (rtsp://…), - for stdin, device, named pipe, or file.")
    ],
    model: ModelOption = "mini",
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")] = Path("live"),
    text: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Referring expression, for models that take text.")
    ] = None,
    audio: Annotated[str | None, typer.Option(metavar="none", help="Use no sound; needs --text.")] = None,
    audio_track: AudioTrackOption = None,
    fps: FpsOption = "1",
    latency: Annotated[
        float | None,
        typer.Option(
            metavar="S", help="Seconds between windows, 1 to the model's clip window. Default: the clip window."
        ),
    ] = None,
    duration: Annotated[float | None, typer.Option(metavar="S", help="End after S seconds of the source.")] = None,
    realtime: Annotated[
        bool, typer.Option(help="Drop frames where the model is slower than the source; else the source waits.")
    ] = True,
    input_format: Annotated[
        str | None, typer.Option("--format", "-f", metavar="NAME", help="FFmpeg's format or device, such as v4l2.")
    ] = None,
    input_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Option of the format, such as video_size=640x480. May be repeated."),
    ] = None,
    save: Annotated[
        str, typer.Option(metavar="LIST", help=f"Files to write, of {','.join(LIVE_FORMATS)}; none for none.")
    ] = "overlay,rows",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    backend: BackendOption = "torch",
    image_size: ImageSizeOption = None,
    threads: ThreadsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per frame on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")] = False,
) -> None:
    """Segment the sounding objects of a camera, a stream or a pipe while it runs.

    Writes DIR/NAME-TIME/ frame by frame: overlay.mkv, frames.jsonl, and masks/ with --save.
    Ctrl-C or SIGTERM ends the source; the masks of what was read follow. A second one interrupts.
    """
    rate = options.parse_rate(fps)
    expression = options.parse_expression(text)
    sound = options.parse_choice("--audio", "track" if audio is None else audio, ("track", "none"))
    formats = frozenset() if save == "none" else options.parse_outputs(save, choices=LIVE_FORMATS)
    settings = dict(map(_option, input_option or ()))
    device, dtype = options.parse_device(device), options.parse_dtype(dtype)
    backend = options.parse_backend(backend)
    from auralsam2.hub import download

    download.check_available(model)
    download.check_text(model, () if expression is None else (expression,))
    import torch

    from auralsam2.model import load

    if threads is not None:
        torch.set_num_threads(threads)
    _note(f"loading model {model}", quiet)
    loaded = load(model, device, dtype, backend=backend, image_size=image_size)
    segmentation = loaded.live(
        source,
        text=expression,
        audio=sound,
        audio_track=options.parse_audio_track(audio_track),
        fps="all" if rate is None else rate,
        latency=latency,
        duration=duration,
        realtime=realtime,
        input_format=input_format,
        input_options=settings,
    )
    from auralsam2.outputs.live_folder import LiveFolder

    folder = LiveFolder(out / f"{_result_name(segmentation.info.name)}-{time.strftime('%Y%m%d-%H%M%S')}", formats)
    with signals.first_calls(segmentation.stop), segmentation:
        if formats:
            with folder:
                _write(segmentation, folder, as_json)
        else:
            _write(segmentation, None, as_json)
    for warning in segmentation.warnings:
        print(message_line("warning", f"{segmentation.info.name}: {warning}"), file=sys.stderr)
    if formats:
        _note(f"{segmentation.info.name}: written to {folder.folder}", quiet)
    raise typer.Exit(EXIT_DONE)


def _write(segmentation: LiveSegmentation, folder: LiveFolder | None, as_json: bool) -> None:
    from auralsam2.outputs.live_folder import live_row
    from auralsam2.utils import json_stream

    for frame in segmentation:
        row = live_row(frame, segmentation.latency, segmentation.dropped)
        if as_json:
            print(json_stream.dump(row), flush=True)
        if folder is not None:
            folder.write(frame, row)


def _note(text: str, quiet: bool) -> None:
    if not quiet:
        print(message_line("", text), file=sys.stderr)


def _option(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise UsageError(f"--input-option {text}: the form is KEY=VALUE")
    return key, value


def _result_name(name: str) -> str:
    """Return a file name for a source."""
    return re.sub(r"[^\w.-]+", "-", Path(name).stem).strip("-.") or "live"
