"""A progress bar, on a terminal only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def frame_progress(title: str, total: int | None, *, shown: bool) -> Iterator[Callable[[Any], None]]:
    """Show how many frames are done, on stderr.

    Args:
        title: in front of the bar.
        total: expected frames, None where unknown.
        shown: False for no bar whatever stderr is.

    Yields:
        a function to call after each frame.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda _frame: bar.advance(task)
