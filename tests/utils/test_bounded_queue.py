"""The pipe between threads, and that an interrupt at any moment leaves it whole."""

from __future__ import annotations

import random
import signal
import threading
import time

import pytest

from auralsam2.utils.background import BoundedQueue


class StopHereError(Exception):
    """Raised by a signal, as KeyboardInterrupt is."""


@pytest.fixture
def until_interrupted():
    """Does something again and again until a signal raises StopHereError, within two milliseconds."""

    def interrupt(_signal, _frame):
        raise StopHereError

    def run(step, chance):
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-4, 2e-3))
        while True:
            step()

    before = signal.signal(signal.SIGALRM, interrupt)
    yield run
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_items_come_in_order_and_so_many_at_most_wait():
    pipe: BoundedQueue[int] = BoundedQueue(3)
    assert [pipe.put(number) for number in range(3)] == [True] * 3
    assert not pipe.put(3, timeout=0.01)
    assert pipe.get() == 0
    assert pipe.put(3, timeout=0.01)
    pipe.put_last(4)
    assert [pipe.get() for _ in range(4)] == [1, 2, 3, 4]


def test_an_interrupt_while_giving(until_interrupted):
    """The taking thread always gets the last word, however the giving one was interrupted."""
    chance = random.Random(0)
    for _ in range(300):
        pipe: BoundedQueue[int | None] = BoundedQueue(4)
        taker = threading.Thread(target=lambda pipe=pipe: list(iter(pipe.get, None)), daemon=True)
        taker.start()
        with pytest.raises(StopHereError):
            until_interrupted(lambda pipe=pipe: pipe.put(1), chance)
        pipe.put_last(None)
        taker.join(timeout=10)
        assert not taker.is_alive()


def test_an_interrupt_while_taking(until_interrupted):
    """The giving thread always gets to see that it shall stop."""
    chance = random.Random(1)
    for _ in range(100):
        pipe: BoundedQueue[int] = BoundedQueue(4)
        stopped = threading.Event()

        def give(pipe=pipe, stopped=stopped):
            while not stopped.is_set():
                pipe.put(1, timeout=0.005)

        giver = threading.Thread(target=give, daemon=True)
        giver.start()
        with pytest.raises(StopHereError):
            until_interrupted(pipe.get, chance)
        stopped.set()
        giver.join(timeout=10)
        assert not giver.is_alive()


def test_waiting_ends_when_an_item_comes():
    pipe: BoundedQueue[float] = BoundedQueue(1)
    threading.Timer(0.05, lambda: pipe.put(time.monotonic())).start()
    assert pipe.get() <= time.monotonic()
