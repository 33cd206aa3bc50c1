"""Functions of workers on a Ray cluster."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

SECONDS = 300
"""Time in which the second worker must start."""


def start_on(folder: Path, threads: int) -> Callable[[int], Callable[[str], str]]:
    return partial(start, folder, threads)


def start(folder: Path, threads: int, _number: int) -> Callable[[str], str]:
    return partial(handle, folder, threads)


def handle(folder: Path, threads: int, item: str) -> str:
    """Return the process of the node's raylet, and the threads, once workers of two nodes have begun.

    The first process that gets the item `end the actor` ends the actor, its parent.
    """
    node = os.environ["RAY_RAYLET_PID"]
    (folder / f"node-{node}").touch()
    end = time.monotonic() + SECONDS
    while len(list(folder.glob("node-*"))) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    if item == "end the actor" and not (folder / "ended").exists():
        (folder / "ended").touch()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(SECONDS)
    return f"{node} {threads}"
