"""Bounded queue and prefetching between threads, safe against interrupts."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedQueue(Generic[T]):
    """Items from one thread to another, so many at most on their way.

    `queue.Queue` takes its locks in Python code: Ctrl-C in the midst of it can lose a wake-up or leave a lock taken, so
    that the other thread waits for ever. Each step here is one call of C code.

    Args:
        depth: items that may wait.
    """

    def __init__(self, depth: int) -> None:
        self._items: SimpleQueue[T] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(depth):
            self._room.put(None)

    def put(self, item: T, timeout: float | None = None) -> bool:
        """Add an item; wait until there is room.

        Args:
            item: anything.
            timeout: seconds to wait; None for as long as it takes.

        Returns:
            whether it was added.
        """
        try:
            self._room.get(timeout=timeout)
        except Empty:
            return False
        self._items.put(item)
        return True

    def put_last(self, item: T) -> None:
        """Add the end marker at once, beyond the bound."""
        self._items.put(item)

    def get(self) -> T:
        """Return the next item; wait for it."""
        item = self._items.get()
        self._room.put(None)
        return item


_END = object()


class Prefetcher(Generic[T]):
    """Iterate over `items`, computed in a background thread.

    An error of the items is raised in the reader at its place. Leaving the `with` block stops the thread.

    Args:
        items: consumed in the thread.
        depth: items that may wait.
    """

    def __init__(self, items: Iterable[T], depth: int = 4) -> None:
        self._items = items
        self._waiting: BoundedQueue[object] = BoundedQueue(depth)
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)

    def __enter__(self) -> Prefetcher[T]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        while True:
            item = self._waiting.get()
            if item is _END:
                break
            yield item  # type: ignore[misc]
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:
            self._error = error
        self._waiting.put_last(_END)

    def _put(self, item: object) -> bool:
        while not self._stopped.is_set():
            if self._waiting.put(item, timeout=0.1):
                return True
        return False
