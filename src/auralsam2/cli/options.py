"""Command-line options: shared declarations, parsing of their values, and their names in error messages."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from auralsam2.arguments import as_audio_track, as_seconds
from auralsam2.batch.run_options import Shard
from auralsam2.data.registry import NAMES as DATASETS
from auralsam2.errors import UnexpectedError, UsageError, as_aural
from auralsam2.hub.registry import REGISTRY as MODELS
from auralsam2.outputs.formats import OUTPUT_FILES
from auralsam2.paths import is_file
from auralsam2.types import Box, Mask, Point

if TYPE_CHECKING:
    from auralsam2.outputs.postprocessing import PostProcessing
    from auralsam2.utils.devices import Backend

Choice = TypeVar("Choice", bound=str)

_PARAMETER = re.compile(r"`([a-z_0-9]+)(?:=([^`]*))?`")
_OPTIONS = {
    "points": "point",
    "boxes": "box",
    "masks": "mask",
    "changes": "set",
    "as_json": "json",
    "input_format": "format",
}
"""Options whose name is not that of the parameter in Python."""


def error_text(error: Exception, parameters: Collection[str], subject: object = None) -> str:
    """Return the message of an error, with the options of a command in place of parameters in backticks.

    Args:
        error: any exception.
        parameters: names of the command's options, without dashes and with `_`. Other names stay as they are.
        subject: the input that was processed, to be named in the message; None for none.
    """
    converted = as_aural(error, subject)
    hint = ", shown by --debug" if isinstance(converted, UnexpectedError) else ""
    return name_options(str(converted), parameters) + hint


def name_options(message: str, parameters: Collection[str]) -> str:
    """Replace `` `fps` `` by `--fps` and `` `audio=FILE` `` by `--audio FILE`, where a command has the option."""

    def option(match: re.Match[str]) -> str:
        name = _OPTIONS.get(match[1], match[1])
        if name not in parameters:
            return match[0]
        return f"--{name.replace('_', '-')}" + ("" if match[2] is None else f" {match[2]}")

    return _PARAMETER.sub(option, message)


def join(names: Iterable[str]) -> str:
    """Join names as `a, b or c`."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def parse_point(text: str) -> Point:
    """Parse `X,Y[,+|-][@SECONDS]`, for example `320,180,-@2.5`."""
    place, time = _split_time(text, "--point", "X,Y[,+|-][@SECONDS]")
    parts = place.split(",")
    sign = parts.pop() if len(parts) == 3 else "+"
    if sign not in ("+", "-"):
        raise UsageError(f"--point {text}: the third value is + or -, not {sign!r}")
    x, y = _numbers(parts, 2, f"--point {text}", "X,Y[,+|-][@SECONDS]")
    return Point(x=x, y=y, positive=sign == "+", time=time)


def parse_box(text: str) -> Box:
    """Parse `X0,Y0,X1,Y1[@SECONDS]`."""
    place, time = _split_time(text, "--box", "X0,Y0,X1,Y1[@SECONDS]")
    x0, y0, x1, y1 = _numbers(place.split(","), 4, f"--box {text}", "X0,Y0,X1,Y1[@SECONDS]")
    return Box(x0=x0, y0=y0, x1=x1, y1=y1, time=time)


def parse_mask(text: str) -> Mask:
    """Parse `PNG[#VALUE][@SECONDS]`."""
    place, time = text, 0.0
    if "@" in text and not is_file(Path(text)):
        place, time = _split_time(text, "--mask", "PNG[#VALUE][@SECONDS]")
    path, value = Path(place), None
    match = re.fullmatch(r"(.+)#(\d{1,9})", place, re.DOTALL)
    if match is not None and not is_file(path):
        path, value = Path(match[1]), int(match[2])
    if not is_file(path):
        raise UsageError(f"--mask {text}: no file {path}")
    return Mask(path=path, time=time, value=value)


def parse_rate(text: str) -> float | None:
    """Parse a number of frames per second; `all` gives None."""
    if text == "all":
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"--fps {text}: give a positive number, or all")
    return value


def parse_count(option: str, text: str, other: str) -> int:
    """Parse a whole number of at least 1; `other` is the value beside numbers, for the message."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:10]) <= 1_000_000:
        raise UsageError(f"{option} {text}: give a number from 1 to 1000000, or {other}")
    return int(text)


def parse_span(start: str, end: str | None) -> tuple[float, float | None]:
    """Parse start and end: seconds, `M:S` or `H:M:S`."""
    begin = _seconds("--start", start)
    if end is None:
        return begin, None
    stop = _seconds("--end", end)
    if stop <= begin:
        raise UsageError(f"--end {end}: must be after --start {start}")
    return begin, stop


def parse_audio(text: str | None) -> Path | Literal["track", "none"]:
    """Parse a file name or `none`; None gives `track`, the audio track of the video."""
    if text is None:
        return "track"
    if text == "none":
        return "none"
    path = Path(text)
    if not path.is_file():
        raise UsageError(f"--audio {text}: no file {path}; give a file with sound, or none")
    return path


def parse_audio_track(text: str | None) -> int | str | None:
    """Parse the number of a sound track, or its language."""
    return as_audio_track(text)


def parse_postprocessing(**values: Any) -> PostProcessing:
    """Check the options of post-processing."""
    from auralsam2.outputs.postprocessing import PostProcessing

    return PostProcessing(**values)


def parse_size(option: str, text: str) -> int:
    """Parse a number of bytes, such as `500MB` or `2GB`; units are powers of ten."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(k|M|G|T)?B?", text.strip())
    count = round(float(match[1]) * {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(match[2], 1)) if match else 0
    if count < 1:
        raise UsageError(f"{option} {text}: the form is 500MB or 2GB")
    return count


def parse_shard(text: str | None) -> Shard:
    """Parse `I/N`; None gives the whole."""
    if text is None:
        return Shard()
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
    if match is None:
        raise UsageError(f"--shard {text}: give I/N, such as 2/8")
    return Shard(index=int(match[1]), count=int(match[2]))


def parse_expression(text: str | None) -> str | None:
    """Check a referring expression: None, or text that is not blank."""
    if text is not None and not text.strip():
        raise UsageError("--text is empty: describe the object, or leave it out")
    return text


def parse_outputs(text: str, option: str = "--save", choices: Collection[str] = OUTPUT_FILES.keys()) -> frozenset[str]:
    """Parse a comma-separated list of formats."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in choices]
    if unknown or not names:
        raise UsageError(f"{option} {text}: choose from {','.join(choices)}")
    return frozenset(names)


def _split_time(text: str, option: str, form: str) -> tuple[str, float]:
    place, _, time = text.rpartition("@") if "@" in text else (text, "", "0")
    try:
        return place, as_seconds("time", time)
    except UsageError:
        raise UsageError(f"{option} {text}: the form is {form}, with 0 or more SECONDS, M:S or H:M:S") from None


def _seconds(option: str, text: str) -> float:
    try:
        return as_seconds("time", text)
    except UsageError:
        raise UsageError(f"{option} {text}: give 0 or more seconds such as 75.5, or a time such as 1:15.5") from None


def _numbers(parts: list[str], count: int, source: str, form: str) -> list[float]:
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        raise UsageError(f"{source}: the form is {form}")
    return values


def parse_device(name: str) -> str:
    """Check the form of a device name; `pick_device` checks later whether this machine has the device."""
    if re.fullmatch(r"cuda:\d{1,3}", name, re.ASCII):
        return name
    if name not in ("auto", "cpu", "cuda", "mps"):
        raise UsageError(f"--device {name}: choose from auto, cpu, cuda, mps, or cuda:N such as cuda:1")
    return name


def parse_backend(name: str) -> Backend:
    """Parse the value of `--backend`."""
    return parse_choice("--backend", name, ("torch", "openvino"))


def parse_dtype(name: str) -> str:
    """Check the name of a precision."""
    return parse_choice("--dtype", name, ("auto", "fp32", "bf16", "fp16"))


def parse_choice(option: str, value: str, choices: tuple[Choice, ...]) -> Choice:
    """Check that a value is one of several choices."""
    for choice in choices:
        if choice == value:
            return choice
    raise UsageError(f"{option} {value}: choose from {', '.join(choices)}")


DatasetOption = Annotated[str, typer.Option(metavar="NAME", help=f"Name: {join(DATASETS)}.")]
_MODEL_HELP = f"Model: {join(MODELS)}, a folder or a hub id."
ModelOption = Annotated[str, typer.Option("--model", "-m", metavar="NAME|DIR", help=_MODEL_HELP)]
CachedModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|DIR",
        help=f"{_MODEL_HELP} Default: a released model in the cache, else mini.",
    ),
]
AudioTrackOption = Annotated[
    str | None,
    typer.Option(metavar="N|LANG", help="Sound track: number from 0, or language. Default: the default track."),
]
FpsOption = Annotated[
    str, typer.Option(metavar="N|all", help="Frames to segment per second; models were trained at 1.")
]
DeviceOption = Annotated[str, typer.Option(metavar="auto|cpu|cuda|cuda:N|mps", help="Device to compute on.")]
DtypeOption = Annotated[
    str,
    typer.Option(
        metavar="auto|fp32|bf16|fp16",
        help="Precision; auto is bf16 where the device computes in it; on a CPU, from 512 px on.",
    ),
]
BackendOption = Annotated[
    str, typer.Option(metavar="torch|openvino", help="Library for the image encoder; openvino is faster on x86 CPUs.")
]
ImageSizeOption = Annotated[
    int | None,
    typer.Option(metavar="PX", help="Side of the network's square input; smaller is faster and less exact."),
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, metavar="N", help="Number of CPU threads.")]
SmoothOption = Annotated[int, typer.Option(metavar="N", help="Majority of each pixel over N frames, odd.")]
FillHolesOption = Annotated[bool, typer.Option("--fill-holes", help="Fill holes in masks.")]
MinAreaOption = Annotated[int, typer.Option(metavar="PX", help="Remove parts of masks with fewer pixels.")]
GrowOption = Annotated[float, typer.Option(metavar="PX", help="Grow masks; negative to shrink them.")]
FeatherOption = Annotated[float, typer.Option(metavar="PX", help="Soften the edge of cut-outs and mattes.")]
