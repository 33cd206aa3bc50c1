"""Worker processes that each process one item at a time."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from auralsam2.errors import UnexpectedError, as_aural

Item = TypeVar("Item")
Value = TypeVar("Value")
_log = logging.getLogger(__name__)

_MAX_STARTS = 3
"""Number of processes that may end before they are ready, one after another, until the run ends."""

_END_SECONDS = 10.0
"""Time that a worker gets to clean up after SIGTERM, before it is killed."""


@dataclass(frozen=True, kw_only=True)
class Completion(Generic[Item, Value]):
    """Outcome of one item.

    Attributes:
        item: the item.
        value: value that the worker returned; None if it did not return.
        error: reason for which no worker returned a value; None if one did.
        crashed: the worker process ended.
        seconds: duration of the last attempt.
    """

    item: Item
    value: Value | None = None
    error: str | None = None
    crashed: bool = False
    seconds: float = 0.0


class WorkerPool(Generic[Item, Value]):
    """Processes that process items in parallel. A process that crashes or hangs costs its item alone.

    A worker process is started with the method `spawn`, so that it has no state of this one. It ends when this process
    ends, however that happens.

    Args:
        start: called once in each worker with its number from 0; returns the function that processes an item. It must
            be picklable, and so must items and values.
        jobs: number of processes.
        timeout: maximum seconds for an item; None for no limit.
        attempts: number of crashes after which an item counts as failed. An item that takes too long, or whose function
            raises, is not tried again.
    """

    def __init__(
        self,
        start: Callable[[int], Callable[[Item], Value]],
        *,
        jobs: int,
        timeout: float | None = None,
        attempts: int = 2,
    ) -> None:
        self._start, self._jobs, self._timeout, self._attempts = start, jobs, timeout, attempts

    def process(self, items: Iterable[Item]) -> Iterator[Completion[Item, Value]]:
        """Yield the outcome of each item as soon as it is known; items are read as workers become free.

        Raises:
            AuralError: a worker cannot be started.
        """
        waiting = iter(items)
        again: list[_Task[Item]] = []
        workers = [_Worker[Item, Value](number, self._start) for number in range(self._jobs)]
        try:
            while True:
                for worker in workers:
                    if worker.task is None:
                        task = again.pop() if again else _next_task(waiting)
                        if task is None:
                            break
                        worker.begin(task, self._timeout)
                busy = [worker for worker in workers if worker.task is not None]
                if not busy:
                    return
                for worker in _ready(busy):
                    completion = worker.finish(self._timeout)
                    if completion is None:
                        continue
                    task, outcome = completion
                    if outcome.crashed and task.attempts < self._attempts:
                        _log.debug("%s: tried again", outcome.error)
                        again.append(task)
                    else:
                        yield outcome
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.join()


@dataclass
class _Task(Generic[Item]):
    item: Item
    attempts: int = 0


class _Worker(Generic[Item, Value]):
    """One place of the pool: a process, which is replaced after a crash or a time-out."""

    def __init__(self, number: int, start: Callable[[int], Callable[[Item], Value]]) -> None:
        self._number, self._start = number, start
        self._process: Any = None
        self._started = False
        self._failed_starts = 0
        self._began = 0.0
        self.deadline: float | None = None
        self.connection: Connection | None = None
        self.task: _Task[Item] | None = None

    def begin(self, task: _Task[Item], timeout: float | None) -> None:
        """Send a task to the process, after starting one if there is none."""
        task.attempts += 1
        self.task = task
        self._began = time.monotonic()
        if self._process is None:
            self._launch()
        else:
            self._send(timeout)

    def finish(self, timeout: float | None) -> tuple[_Task[Item], Completion[Item, Value]] | None:
        """Return the task and its outcome; None while the process is still starting.

        Raises:
            AuralError: the process could not start.
        """
        task, connection = self.task, self.connection
        assert task is not None
        assert connection is not None
        seconds = time.monotonic() - self._began
        kind, value, error, crashed = "", None, None, False
        try:
            if connection.poll():
                kind, value = connection.recv()
                if kind == "started":
                    self._started, self._failed_starts = True, 0
                    self._began = time.monotonic()
                    self._send(timeout)
                    return None
                if kind == "not started":
                    raise value
                if kind == "failed":
                    value, error = None, value
            else:
                error = f"took longer than {timeout:g} s"
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            if not self._started:
                self._failed_starts += 1
                task.attempts -= 1
                if self._failed_starts == _MAX_STARTS:
                    raise UnexpectedError(f"a worker process ended before it was ready ({_reason(code)})") from None
            error, crashed = f"ended its worker process ({_reason(code)})", True
        if error is not None and kind != "failed":
            self.terminate()
            self.join()
        self.task, self.deadline = None, None
        return task, Completion(item=task.item, value=value, error=error, crashed=crashed, seconds=seconds)

    def terminate(self) -> None:
        """Ask the process to end; a task in progress is abandoned, and removes its unfinished files."""
        if self._process is not None:
            if self.connection is not None:
                self.connection.close()
            (self._process.kill if self.task is None else self._process.terminate)()

    def join(self) -> None:
        """Wait for the end of the process; kill it after a while."""
        if self._process is not None:
            self._process.join(_END_SECONDS)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
            self._process.close()
            self._process = None

    def _launch(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self._started = False
        process = context.Process(target=_serve, args=(other, self._start, self._number), daemon=True)
        process.start()
        self._process = process
        other.close()

    def _send(self, timeout: float | None) -> None:
        assert self.connection is not None
        assert self.task is not None
        self.deadline = None if timeout is None else time.monotonic() + timeout
        try:
            self.connection.send(self.task.item)
        except OSError:  # the process has ended: `finish` finds out
            _log.debug("worker %d has ended", self._number)


def _next_task(items: Iterator[Item]) -> _Task[Item] | None:
    for item in items:
        return _Task(item)
    return None


def _ready(busy: list[_Worker[Any, Any]]) -> list[_Worker[Any, Any]]:
    """Wait until a worker has sent something, has ended or is late; return those workers."""
    deadlines = [worker.deadline for worker in busy if worker.deadline is not None]
    seconds = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
    heard = set(wait([worker.connection for worker in busy if worker.connection is not None], seconds))
    now = time.monotonic()
    late = {id(worker) for worker in busy if worker.deadline is not None and worker.deadline <= now}
    return [worker for worker in busy if worker.connection in heard or id(worker) in late]


def _reason(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}" + (", perhaps for lack of memory" if code == -9 else "")
    return f"exit code {code}"


def _serve(connection: Connection, start: Callable[[int], Callable[[Any], Any]], number: int) -> None:
    """Process the items of a connection; the main function of a worker process."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal: the parent decides
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        try:
            function = start(number)
        except Exception as error:
            connection.send(("not started", as_aural(error)))
            return
        connection.send(("started", None))
        while True:
            try:
                item = connection.recv()
            except (EOFError, OSError):
                return
            try:
                answer = ("value", function(item))
            except Exception as error:
                answer = ("failed", str(as_aural(error)))
            connection.send(answer)
    except (KeyboardInterrupt, BrokenPipeError):
        return


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    """End this process when its parent ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
