"""Plot the log of a run: `python -m projects.mini.plot_log LOG.csv IMAGE.png --columns val/J,val/J_target`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from auralsam2.errors import InputError
from auralsam2.utils.atomic_io import writing
from projects.mini.stage_loop import exit_code, read_log


def plot_log(rows: Sequence[dict[str, str]], columns: Sequence[str]) -> Figure:
    """Plot columns of a log, with values in [0, 1], over training time, or over steps without a column `seconds`.

    Vertical lines separate the phases. Empty values are left out.

    Raises:
        InputError: the log has fewer than two rows, or lacks a column.
    """
    if len(rows) < 2:
        raise InputError("the log has fewer than two rows: train longer first")
    if missing := [name for name in columns if name not in rows[0]]:
        raise InputError(f"the log has no column {missing[0]}; it has {', '.join(rows[0])}")
    timed = "seconds" in rows[0]
    x = [float(row["seconds"]) / 60 if timed else float(row["step"]) for row in rows]
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.add_subplot(xlabel="minutes" if timed else "step", ylim=(0, 1), xlim=(0, max(x[-1], 1e-6)))
    axes.grid(axis="y", color="0.9")
    for before, after, end in zip(rows, rows[1:], x, strict=False):
        if before.get("phase") != after.get("phase"):
            axes.axvline(end, color="0.5", linewidth=0.8)
    for name in columns:
        points = [(at, float(row[name])) for at, row in zip(x, rows, strict=True) if row[name]]
        axes.plot(*zip(*points, strict=True) if points else ((), ()), label=name)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m projects.mini.plot_log")
    parser.add_argument("log", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--columns", required=True, help="comma-separated names of columns with values in [0, 1]")
    options = parser.parse_args(arguments)

    def plot() -> None:
        figure = plot_log(read_log(options.log), options.columns.split(","))
        with writing(options.image):
            figure.savefig(options.image)

    return exit_code(plot)


if __name__ == "__main__":
    sys.exit(main())
