"""Queue between threads: order, bound, and interrupts at any moment."""

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
def repeat_until_interrupted():
    """Return a function that repeats a step until a signal raises StopHereError, within two milliseconds."""

    def interrupt(_signal, _frame):
        raise StopHereError

    def run(step, rng):
        signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-4, 2e-3))
        while True:
            step()

    before = signal.signal(signal.SIGALRM, interrupt)
    yield run
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_order_and_bound():
    queue: BoundedQueue[int] = BoundedQueue(3)
    assert [queue.put(number) for number in range(3)] == [True] * 3
    assert not queue.put(3, timeout=0.01)
    assert queue.get() == 0
    assert queue.put(3, timeout=0.01)
    queue.put_last(4)
    assert [queue.get() for _ in range(4)] == [1, 2, 3, 4]


def test_interrupted_put(repeat_until_interrupted):
    """The reader always gets the end marker, wherever the writer was interrupted."""
    rng = random.Random(0)
    for _ in range(300):
        queue: BoundedQueue[int | None] = BoundedQueue(4)
        reader = threading.Thread(target=lambda queue=queue: list(iter(queue.get, None)), daemon=True)
        reader.start()
        with pytest.raises(StopHereError):
            repeat_until_interrupted(lambda queue=queue: queue.put(1), rng)
        queue.put_last(None)
        reader.join(timeout=10)
        assert not reader.is_alive()


def test_interrupted_get(repeat_until_interrupted):
    """The writer always ends after the reader was interrupted."""
    rng = random.Random(1)
    for _ in range(100):
        queue: BoundedQueue[int] = BoundedQueue(4)
        stopped = threading.Event()

        def write(queue=queue, stopped=stopped):
            while not stopped.is_set():
                queue.put(1, timeout=0.005)

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        with pytest.raises(StopHereError):
            repeat_until_interrupted(queue.get, rng)
        stopped.set()
        writer.join(timeout=10)
        assert not writer.is_alive()


def test_get_waits_for_an_item():
    queue: BoundedQueue[float] = BoundedQueue(1)
    threading.Timer(0.05, lambda: queue.put(time.monotonic())).start()
    assert queue.get() <= time.monotonic()
