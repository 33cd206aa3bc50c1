"""Progress bars and tables for a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_PIPE_WIDTH = 1000
"""Width of a table that is not printed on a terminal, in columns, so that no line is wrapped."""


@contextmanager
def frame_progress(title: str, total: int | None, *, shown: bool) -> Iterator[Callable[[Any], None]]:
    """Show on stderr how many frames are done.

    Args:
        title: label of the bar.
        total: expected number of frames; None where unknown.
        shown: whether to show a bar if stderr is a terminal.

    Yields:
        a function to call after each frame.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda _frame: bar.advance(task)


def stdout_console() -> Console:
    """Return a console that prints plain text on stdout, without wrapping in a pipe."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console
