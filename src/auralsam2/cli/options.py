"""Values of command-line options: prompts, rates, kinds of files."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer

from auralsam2.errors import UsageError
from auralsam2.types import Box, Mask, Point

Word = TypeVar("Word", bound=str)

SAVES = ("overlay", "masks", "json", "coco", "frames")


def parse_point(text: str) -> Point:
    """`X,Y[,+|-][@SECONDS]`, for instance `320,180,-@2.5`."""
    place, time = _at(text, "--point", "X,Y[,+|-][@SECONDS]")
    parts = place.split(",")
    sign = parts.pop() if len(parts) == 3 else "+"
    if sign not in ("+", "-"):
        raise UsageError(f"--point {text}: the third value is + or -, not {sign!r}")
    x, y = _numbers(parts, 2, f"--point {text}", "X,Y[,+|-][@SECONDS]")
    return Point(x=x, y=y, positive=sign == "+", time=time)


def parse_box(text: str) -> Box:
    """`X0,Y0,X1,Y1[@SECONDS]`."""
    place, time = _at(text, "--box", "X0,Y0,X1,Y1[@SECONDS]")
    x0, y0, x1, y1 = _numbers(place.split(","), 4, f"--box {text}", "X0,Y0,X1,Y1[@SECONDS]")
    return Box(x0=x0, y0=y0, x1=x1, y1=y1, time=time)


def parse_mask(text: str) -> Mask:
    """`PNG[@SECONDS]`."""
    place, time = _at(text, "--mask", "PNG[@SECONDS]") if "@" in text and not Path(text).is_file() else (text, 0.0)
    path = Path(place)
    if not path.is_file():
        raise UsageError(f"--mask {text}: no file {path}")
    return Mask(path=path, time=time)


def parse_rate(text: str) -> float | None:
    """Frames a second, or `all` (None)."""
    if text == "all":
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"--fps {text}: give a positive number, or all")
    return value


def parse_span(start: str, end: str | None) -> tuple[float, float | None]:
    """`--start` and `--end`, in seconds."""
    (begin,) = _numbers([start], 1, f"--start {start}", "a number of seconds")
    if begin < 0:
        raise UsageError(f"--start {start}: seconds count from 0")
    if end is None:
        return begin, None
    (until,) = _numbers([end], 1, f"--end {end}", "a number of seconds")
    if until <= begin:
        raise UsageError(f"--end {end}: must lie after --start {start}")
    return begin, until


def parse_audio(text: str | None) -> Path | Literal["track", "none"]:
    """A file, `none`, or, unless told otherwise, the video's own track."""
    if text is None:
        return "track"
    if text == "none":
        return "none"
    path = Path(text)
    if not path.is_file():
        raise UsageError(f"--audio {text}: no file {path}; give a file with sound, or none")
    return path


def parse_size(option: str, text: str) -> int:
    """A number of bytes such as `500MB` or `2GB`; a unit is a power of ten."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(k|M|G|T)?B?", text.strip())
    count = round(float(found[1]) * {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(found[2], 1)) if found else 0
    if count < 1:
        raise UsageError(f"{option} {text}: the form is 500MB or 2GB")
    return count


def parse_expression(text: str | None) -> str | None:
    """Words that describe the object."""
    if text is not None and not text.strip():
        raise UsageError("--text is empty: say what to look for, or leave it out")
    return text


def parse_saves(text: str) -> frozenset[str]:
    """A comma-separated list of what to write."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in SAVES]
    if unknown or not names:
        raise UsageError(f"--save {text}: choose from {','.join(SAVES)}")
    return frozenset(names)


def _at(text: str, option: str, form: str) -> tuple[str, float]:
    place, _, time = text.rpartition("@") if "@" in text else (text, "", "0")
    (seconds,) = _numbers([time], 1, f"{option} {text}", form)
    if seconds < 0:
        raise UsageError(f"{option} {text}: seconds count from 0")
    return place, seconds


def _numbers(parts: list[str], count: int, where: str, form: str) -> list[float]:
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        raise UsageError(f"{where}: the form is {form}")
    return values


def parse_device(name: str) -> str:
    """A device by torch's name, or `auto`; whether it is on this machine is checked when torch is imported."""
    if re.fullmatch(r"cuda:\d{1,3}", name, re.ASCII):
        return name
    if name not in ("auto", "cpu", "cuda", "mps"):
        raise UsageError(f"--device {name}: choose from auto, cpu, cuda, mps, or cuda:N such as cuda:1")
    return name


def parse_dtype(name: str) -> str:
    """What to compute in."""
    return parse_choice("--dtype", name, ("auto", "fp32", "bf16", "fp16"))


def parse_choice(option: str, value: str, choices: tuple[Word, ...]) -> Word:
    """One of several words."""
    for word in choices:
        if word == value:
            return word
    raise UsageError(f"{option} {value}: choose from {', '.join(choices)}")


ModelOption = Annotated[str, typer.Option("--model", "-m", metavar="NAME|DIR", help="Model name, folder or hub id.")]
DeviceOption = Annotated[str, typer.Option(metavar="auto|cpu|cuda|cuda:N|mps", help="Where to compute.")]
DtypeOption = Annotated[
    str, typer.Option(metavar="auto|fp32|bf16|fp16", help="Precision; auto is fp32 on a CPU, bf16 elsewhere.")
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, metavar="N", help="CPU threads.")]
