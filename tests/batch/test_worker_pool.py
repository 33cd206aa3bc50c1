"""Worker processes: order, crashes, time-outs, interrupts, and a parent that dies."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from auralsam2.batch.worker_pool import Completion, WorkerPool
from auralsam2.errors import InputError, UnexpectedError

HERE = Path(__file__).parents[1]


def handle(folder: Path, item: str) -> str:
    """Process an item that says how it ends: `once` fails at the first attempt alone."""
    name, _, argument = item.partition(" ")
    if name == "crash" or (name == "once" and not (folder / "tried").exists()):
        (folder / "tried").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "exit":
        os._exit(7)
    if name == "hang":
        try:
            time.sleep(60)
        finally:
            (folder / "cleaned up").touch()
    if name == "error":
        raise InputError("not a video")
    if name == "bug":
        raise IndexError("list index out of range")
    if name == "sleep":
        time.sleep(float(argument))
    return f"{item} by {os.getpid()}"


def start(folder: Path, number: int) -> Callable[[str], str]:
    (folder / f"worker-{number}-{os.getpid()}").touch()
    return partial(handle, folder)


def refuse(_number: int) -> Callable[[str], str]:
    raise InputError("no model")


def die(_number: int) -> Callable[[str], str]:
    os._exit(3)


def die_once(folder: Path, number: int) -> Callable[[str], str]:
    if not (folder / "started").exists():
        (folder / "started").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return start(folder, number)


def process(folder: Path, items: list[str], **options: float) -> dict[str, Completion[str, str]]:
    pool = WorkerPool(partial(start, folder), **{"jobs": 2, **options})
    return {completion.item: completion for completion in pool.process(items)}


def test_a_crash_or_an_error_costs_its_item_alone(tmp_path: Path) -> None:
    items = ["a", "crash", "b", "error", "once", "bug", "exit", "c"]
    outcomes = process(tmp_path, items)
    assert outcomes.keys() == set(items)
    assert {item for item in items if outcomes[item].error is None} == {"a", "b", "c", "once"}
    assert outcomes["crash"].error == "ended its worker process (signal SIGKILL, perhaps for lack of memory)"
    assert outcomes["exit"].error == "ended its worker process (exit code 7)"
    assert outcomes["error"].error == "not a video"
    assert "IndexError: list index out of range" in (outcomes["bug"].error or "")
    assert (outcomes["a"].value or "").startswith("a by ")


def test_a_late_item_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    outcomes = process(tmp_path, ["hang", "a", "b"], timeout=0.5)
    assert outcomes["hang"].error == "took longer than 0.5 s"
    assert outcomes["a"].error is None
    assert outcomes["b"].error is None
    assert (tmp_path / "cleaned up").exists()
    assert time.monotonic() - began < 30


def test_items_are_read_as_workers_become_free(tmp_path: Path) -> None:
    reads = itertools.count()
    latest = 0

    def items() -> object:
        nonlocal latest
        while latest < 40:
            latest = next(reads) + 1
            yield str(latest)

    pool = WorkerPool(partial(start, tmp_path), jobs=2)
    for done, _ in enumerate(pool.process(items()), start=1):  # type: ignore[arg-type]
        assert latest - done <= 2
    assert done == 40
    assert len(list(tmp_path.glob("worker-*"))) == 2, "two processes did all of it"


@pytest.mark.parametrize(("function", "error"), [(refuse, InputError), (die, UnexpectedError)])
def test_a_worker_that_cannot_start_ends_the_run(function: Callable, error: type[Exception]) -> None:
    with pytest.raises(error):
        list(WorkerPool(function, jobs=1).process(["a"]))


def test_a_start_that_cannot_be_pickled_is_named() -> None:
    with pytest.raises(Exception, match="pickle"):
        next(WorkerPool(lambda _number: str, jobs=1).process([1]))


def test_a_worker_that_is_killed_while_it_starts_is_replaced(tmp_path: Path) -> None:
    pool = WorkerPool(partial(die_once, tmp_path), jobs=1)
    assert [completion.error for completion in pool.process(["a", "b"])] == [None, None]


PARENT = """
import signal, sys
from functools import partial
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from auralsam2.batch.worker_pool import WorkerPool
from batch.test_worker_pool import start

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with SIGINT ignored
    for completion in WorkerPool(partial(start, Path(sys.argv[1])), jobs=2).process(["hang 1", "hang 2"]):
        pass
"""


def processes(folder: Path) -> list[int]:
    return [int(path.name.rsplit("-", 1)[1]) for path in folder.glob("worker-*")]


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    folder = tmp_path / "workers"
    folder.mkdir()
    parent = subprocess.Popen([sys.executable, script, folder, HERE], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(processes(folder)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    workers = processes(folder)
    parent.send_signal(number)
    parent.wait(30)
    while any(map(is_alive, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
