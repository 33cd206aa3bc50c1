"""SIGTERM and SIGHUP end a command as Ctrl-C does: everything is cleaned up, then the process exits."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_NAMES = ("SIGTERM", "SIGHUP")
"""Windows has no SIGHUP."""
_REPEAT = 1.0
"""Seconds within which a repeated signal belongs to the first: a closing terminal sends several."""


class Termination(KeyboardInterrupt):
    """Request to end the command; libraries handle it as they handle Ctrl-C."""


class Received:
    """First termination signal of a command.

    Attributes:
        number: of the signal; None before one arrives.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._time = 0.0

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


_received = Received()


def exit_code() -> int | None:
    """Return the exit code of a command ended by a signal, such as 143 for SIGTERM; None without a signal."""
    return _received.exit_code


@contextmanager
def handled() -> Iterator[Received]:
    """Raise `Termination` in the main thread on SIGTERM and SIGHUP while inside; see `_installed`."""
    global _received
    _received = received = Received()

    def handle(number: int, _frame: Any) -> None:
        if received.first(number):
            raise Termination

    try:
        with _installed(handle, _NAMES):
            yield received
    finally:
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
            raise Termination
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
