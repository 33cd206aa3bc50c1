"""Figure 1 of the paper: M_J over frames a second of the rows of Table 7, as a plot.

    python experiments/speed_and_quality.py docs/benchmarks/results.md docs/images/figure-1.png

Reads Table 7 from the document into which `experiments/tables.py --write` wrote it. One panel has the measured values,
the other one the published values.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from matplotlib import colormaps
from matplotlib.figure import Figure

from auralsam2.errors import AuralError, InputError
from auralsam2.utils.atomic_io import writing

SECTION = "table-7"
MARKERS = {"audio": "o", "audio, points, box": "s", "points": "v", "box": "D", "mask": "*", "points, box": "^"}
"""Marker by prompts."""


@dataclass(frozen=True, kw_only=True)
class SpeedPoint:
    """Row of Table 7.

    Attributes:
        method: name.
        prompts: prompts.
        measured, published: frames a second and M_J; None for a row without these figures.
    """

    method: str
    prompts: str
    measured: tuple[float, float] | None
    published: tuple[float, float] | None


def read_points(text: str) -> list[SpeedPoint]:
    """Read the rows of Table 7 from a document.

    Raises:
        InputError: the document has no such table with frames a second.
    """
    _, begin, rest = text.partition(f"<!-- begin {SECTION} -->")
    table = [line.strip().strip("|").split("|") for line in rest.partition("<!-- end")[0].splitlines() if "|" in line]
    cells = [[cell.strip() for cell in line] for line in table]
    head = cells[0] if cells else []
    names = {name.rpartition(": ")[2] if name.startswith("paper") else f"our {name}": n for n, name in enumerate(head)}
    if not begin or not {"our method", "our prompts", "our M_J", "our FPS", "M_J", "FPS"} <= names.keys():
        raise InputError("no Table 7 with FPS: run experiments/tables.py --table 7 --write on this document first")

    def pair(row: list[str], speed: str, score: str) -> tuple[float, float] | None:
        values = row[names[speed]], row[names[score]].split(" ")[0]
        return None if "-" in values else (float(values[0]), float(values[1]))

    return [
        SpeedPoint(
            method=row[names["our method"]],
            prompts=row[names["our prompts"]],
            measured=pair(row, "our FPS", "our M_J"),
            published=pair(row, "FPS", "M_J"),
        )
        for row in cells[2:]
    ]


def plot_points(points: list[SpeedPoint]) -> Figure:
    """Plot M_J over frames a second, measured and published."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    methods = list(dict.fromkeys(point.method for point in points))
    colours = dict(zip(methods, colormaps["tab20"](range(20)), strict=False))
    for number, kind in enumerate(("measured", "published")):
        axes = figure.add_subplot(1, 2, number + 1, xlabel="frames a second", ylabel="M_J", title=kind)
        axes.grid(color="0.9")
        for point in points:
            values = point.measured if kind == "measured" else point.published
            if values is not None:
                label = f"{point.method} ({point.prompts})"
                axes.scatter(*values, color=colours[point.method], marker=MARKERS[point.prompts], label=label)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize="small")
    return figure


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("document", type=Path, help="document with Table 7")
    parser.add_argument("image", type=Path, help="image to write")
    options = parser.parse_args()
    try:
        figure = plot_points(read_points(options.document.read_text(encoding="utf-8")))
        with writing(options.image):
            figure.savefig(options.image, dpi=100)
    except (OSError, AuralError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
