"""Interruptions that libraries discard."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
import weakref

import pytest

from auralsam2.utils import signals


class InterruptedFile(io.RawIOBase):
    """File whose finaliser receives a signal; it discards the exception of the signal's handler."""

    def __init__(self, number: int) -> None:
        self._number = number

    @property
    def closed(self) -> bool:
        number, self._number = self._number, 0
        if number:
            os.kill(os.getpid(), number)
            for _ in range(1000):  # the handler runs between two instructions
                pass
        return True


@pytest.fixture(autouse=True)
def handlers():
    """Default handlers, also where the tests run in a background job, whose signals a shell ignores."""
    before = {
        number: signal.signal(number, handler)
        for number, handler in [(signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)]
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def command(number: int, received: signals.Received) -> None:
    """Receive a signal in a finaliser, then work for a minute."""
    file = InterruptedFile(number)
    finalised = weakref.ref(file)
    del file
    assert finalised() is None
    end = time.monotonic() + 60
    while time.monotonic() < end:
        time.sleep(0.01)
    raise AssertionError(f"signal {received.number or number} did not end the command")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interruption_in_a_finaliser_is_not_lost(number):
    with pytest.raises(KeyboardInterrupt), signals.handled() as received:
        command(number, received)
    assert received.number == (None if number == signal.SIGINT else number)


def timers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)}


def test_handled_interruption_is_not_raised_again():
    before = timers()
    with signals.handled():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            signals.end_command()
        assert timers() <= before
        assert signals.exit_code() == 128 + signal.SIGTERM


def slow_clean_up() -> None:
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        time.sleep(0.5)


def test_interruption_is_not_raised_again_during_clean_up():
    with signals.handled(), pytest.raises(signals.Termination) as raised:
        slow_clean_up()
    assert raised.value.__context__ is None
