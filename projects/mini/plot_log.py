"""Draw the log of a run: `python -m projects.mini.plot_log LOG.csv PICTURE.png --columns val/J,val/J_target`."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from auralsam2.errors import AuralError, InputError, message_line
from auralsam2.utils.atomic_io import writing
from projects.mini.stage_loop import read_log

COLOURS = ((200, 60, 50), (60, 110, 210), (60, 150, 80), (230, 150, 40), (150, 90, 180), (130, 130, 130))
SIZE = (900, 420)
_LEFT, _TOP, _RIGHT, _BOTTOM = 50, 20, 140, 40
_INK, _RULE = (40, 40, 40), (225, 225, 225)


def draw_curve(rows: Sequence[dict[str, str]], columns: Sequence[str]) -> Image.Image:
    """Draw rows of a log over the minutes of training, or over its steps where it has no column `seconds`.

    A grey line parts the phases, where there are any.

    Args:
        rows: of the log; an empty value is passed over.
        columns: what is drawn, of 0 to 1.

    Raises:
        InputError: the log has fewer than two rows, or no such column.
    """
    if len(rows) < 2:
        raise InputError("the log has fewer than two rows: train on, and draw it later")
    if missing := [name for name in columns if name not in rows[0]]:
        raise InputError(f"the log has no column {missing[0]}; it has {', '.join(rows[0])}")
    timed = "seconds" in rows[0]
    at = [float(row["seconds"]) / 60 if timed else float(row["step"]) for row in rows]
    image = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(image)
    width, height = SIZE[0] - _LEFT - _RIGHT, SIZE[1] - _TOP - _BOTTOM
    last = max(at[-1], 1e-6)

    def place(when: float, value: float) -> tuple[float, float]:
        return _LEFT + width * when / last, _TOP + height * (1 - value)

    for tenth in range(0, 11, 2):
        pen.line((*place(0, tenth / 10), *place(last, tenth / 10)), fill=_RULE)
        pen.text((_LEFT - 8, place(0, tenth / 10)[1]), f"{tenth / 10:.1f}", fill=_INK, anchor="rm")
    for part in range(5):
        label = f"{last * part / 4:.1f} min" if timed else f"step {last * part / 4:.0f}"
        pen.text((place(last * part / 4, 0)[0], SIZE[1] - _BOTTOM + 8), label, _INK, anchor="mt")
    for before, now, when in zip(rows, rows[1:], at, strict=False):
        if before.get("phase") != now.get("phase"):
            pen.line((*place(when, 0), *place(when, 1)), fill=(120, 120, 120))
    for number, (name, colour) in enumerate(zip(columns, itertools.cycle(COLOURS), strict=False)):
        points = [place(when, float(row[name])) for when, row in zip(at, rows, strict=True) if row.get(name)]
        if points:
            pen.line(points, fill=colour, width=2)
            pen.text((SIZE[0] - _RIGHT + 12, _TOP + 20 * number), name, fill=colour)
    return image


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m projects.mini.plot_log")
    parser.add_argument("log", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--columns", required=True, help="comma-separated, each with values of 0 to 1")
    options = parser.parse_args(arguments)
    try:
        image = draw_curve(read_log(options.log), options.columns.split(","))
        with writing(options.picture):
            image.save(options.picture)
    except AuralError as error:
        print(message_line("error", error), file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
