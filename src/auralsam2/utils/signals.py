"""SIGTERM and SIGHUP end a command as Ctrl-C does: everything is cleaned up, then the process exits."""

from __future__ import annotations

import _thread
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_NAMES = ("SIGTERM", "SIGHUP")
"""Windows has no SIGHUP."""
_REPEAT = 1.0
"""Seconds within which a repeated signal belongs to the first: a closing terminal sends several."""
_AGAIN = 0.1
"""Seconds between the loss of an interruption and the next attempt."""


class Termination(KeyboardInterrupt):
    """Request to end the command; libraries handle it as they handle Ctrl-C."""


class Received:
    """First termination signal of a command.

    C code discards an exception that a signal raises in a finaliser, such as that of a file. An interruption that is
    discarded so is raised again, until the command ends or has handled it.

    Attributes:
        number: of the signal; None before one arrives.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._time = 0.0
        self._runs = True

    @property
    def exit_code(self) -> int | None:
        """128 + number of the signal; None before one arrives."""
        return None if self.number is None else 128 + self.number

    def first(self, number: int) -> bool:
        """Record a signal; returns False for a repetition of the last one."""
        now = time.monotonic()
        repeated = self.number is not None and now - self._time < _REPEAT
        self.number, self._time = self.number or number, now
        return not repeated

    def interruption(self, number: int) -> Termination:
        """Return an exception to raise for a signal, without storing it in a local variable."""
        # A variable in a frame of the traceback would keep the exception alive after its loss.
        termination = Termination()
        weakref.finalize(termination, self._lost, number).atexit = False
        return termination

    def end(self) -> None:
        """Note that the command ends: no interruption is raised again."""
        self._runs = False

    def _lost(self, number: int) -> None:
        if self._runs:
            timer = threading.Timer(_AGAIN, self._repeat, [number])
            timer.daemon = True
            timer.start()

    def _repeat(self, number: int) -> None:
        if self._runs:
            self._time -= _REPEAT
            _thread.interrupt_main(signal.Signals(number))


_received = Received()


def end_command() -> None:
    """Note that the command has handled its interruption, for code that catches `KeyboardInterrupt` and returns."""
    _received.end()


def exit_code() -> int | None:
    """Return the exit code of a command ended by a signal, such as 143 for SIGTERM; None without a signal."""
    return _received.exit_code


@contextmanager
def handled() -> Iterator[Received]:
    """Raise `Termination` in the main thread on SIGINT, SIGTERM and SIGHUP while inside; see `_installed`."""
    global _received
    _received = received = Received()

    def handle(number: int, _frame: Any) -> None:
        if number == signal.SIGINT or received.first(number):
            raise received.interruption(number)

    try:
        with _installed(handle, ("SIGINT", *_NAMES)):
            yield received
    finally:
        received.end()
        _received = Received()


@contextmanager
def first_calls(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on the first SIGINT, SIGTERM or SIGHUP while inside; interrupt on the second, as outside."""
    called = False

    def handle(number: int, _frame: Any) -> None:
        nonlocal called
        if not _received.first(number):
            return
        if called:
            raise _received.interruption(number)
        called = True
        stop()

    with _installed(handle, ("SIGINT", *_NAMES)):
        yield


@contextmanager
def hang_up_calls(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on SIGHUP while inside, for an event loop that an exception would break."""

    def handle(number: int, _frame: Any) -> None:
        if _received.first(number):
            stop()

    with _installed(handle, ("SIGHUP",)):
        yield


@contextmanager
def _installed(handle: Callable[[int, Any], None], names: tuple[str, ...]) -> Iterator[None]:
    """Handle signals while inside. Those that the process ignores, as under nohup, stay ignored."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in names:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
