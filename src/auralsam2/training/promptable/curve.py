"""Draw the log of a run: `python -m auralsam2.training.promptable.curve LOG.csv PICTURE.png`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from auralsam2.errors import AuralError, InputError, message_line
from auralsam2.outputs.staging import writing
from auralsam2.training.progress import read_log

SHOWN = {
    "sensitivity": (150, 150, 150),
    "found": (90, 140, 220),
    "kept": (150, 90, 180),
    "box": (200, 60, 50),
    "point": (230, 150, 40),
    "followed": (60, 150, 80),
}
"""Columns that are drawn, all of 0 to 1, and their colours."""
SIZE = (900, 420)
_LEFT, _TOP, _RIGHT, _BOTTOM = 50, 20, 140, 40
_INK, _RULE = (40, 40, 40), (225, 225, 225)


def draw(rows: Sequence[dict[str, str]]) -> Image.Image:
    """Draw rows of a log over the minutes of training; a grey line parts the phases.

    Raises:
        InputError: the log has fewer than two rows.
    """
    if len(rows) < 2:
        raise InputError("the log has fewer than two rows: train on, and draw it later")
    minutes = [float(row["seconds"]) / 60 for row in rows]
    image = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(image)
    width, height = SIZE[0] - _LEFT - _RIGHT, SIZE[1] - _TOP - _BOTTOM
    last = max(minutes[-1], 1e-6)

    def place(minute: float, value: float) -> tuple[float, float]:
        return _LEFT + width * minute / last, _TOP + height * (1 - value)

    for tenth in range(0, 11, 2):
        pen.line((*place(0, tenth / 10), *place(last, tenth / 10)), fill=_RULE)
        pen.text((_LEFT - 8, place(0, tenth / 10)[1]), f"{tenth / 10:.1f}", fill=_INK, anchor="rm")
    for part in range(5):
        pen.text((place(last * part / 4, 0)[0], SIZE[1] - _BOTTOM + 8), f"{last * part / 4:.1f} min", _INK, anchor="mt")
    for before, now, minute in zip(rows, rows[1:], minutes, strict=False):
        if before["phase"] != now["phase"]:
            pen.line((*place(minute, 0), *place(minute, 1)), fill=(120, 120, 120))
    for number, (name, colour) in enumerate(SHOWN.items()):
        points = [place(m, float(row[name])) for m, row in zip(minutes, rows, strict=True) if row.get(name)]
        if points:
            pen.line(points, fill=colour, width=2)
            pen.text((SIZE[0] - _RIGHT + 12, _TOP + 20 * number), name, fill=colour)
    return image


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m auralsam2.training.promptable.curve")
    parser.add_argument("log", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args(arguments)
    try:
        image = draw(read_log(options.log))
        with writing(options.picture):
            image.save(options.picture)
    except AuralError as error:
        print(message_line("error", error), file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
