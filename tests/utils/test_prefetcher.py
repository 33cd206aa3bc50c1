"""Prefetching: order, errors, and the end of the thread."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from auralsam2.utils.background import Prefetcher


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


def becomes_true(condition) -> bool:
    """Return whether a condition becomes true within five seconds."""
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


@pytest.mark.parametrize("count", [0, 1, 4, 5, 200])
def test_order(count: int) -> None:
    with Prefetcher(iter(range(count))) as ahead:
        assert list(ahead) == list(range(count))
    assert not running()


def test_none_is_an_item() -> None:
    with Prefetcher([None, 0, None]) as ahead:
        assert list(ahead) == [None, 0, None]


def test_error_is_raised_at_its_place() -> None:
    def broken() -> Iterator[int]:
        yield from range(7)
        raise ValueError("damaged")

    with Prefetcher(broken(), depth=2) as ahead:
        items = iter(ahead)
        assert [next(items) for _ in range(7)] == list(range(7))
        with pytest.raises(ValueError, match="damaged"):
            next(items)
    assert not running()


def test_depth_limits_prefetching() -> None:
    produced = 0

    def endless() -> Iterator[int]:
        nonlocal produced
        for number in itertools.count():
            produced = number + 1
            yield number

    with Prefetcher(endless(), depth=3) as ahead:
        # Three items wait, and the thread has another one.
        assert becomes_true(lambda: produced == 4)
        items = iter(ahead)
        for number in range(10):
            assert next(items) == number
            assert becomes_true(lambda: produced == number + 5)  # noqa: B023 - called at once
        time.sleep(0.15)
        assert produced == 14
    assert not running()


def test_leaving_early_ends_the_thread() -> None:
    with Prefetcher(itertools.count()) as ahead:
        assert next(iter(ahead)) == 0
    assert not running()


def test_error_of_the_reader_ends_the_thread() -> None:
    with pytest.raises(KeyError), Prefetcher(itertools.count()) as ahead:
        {}[next(iter(ahead))]
    assert not running()


def test_items_are_computed_in_another_thread() -> None:
    def thread_name() -> Iterator[str]:
        yield threading.current_thread().name

    with Prefetcher(thread_name()) as ahead:
        assert list(ahead) == ["read-ahead"]
