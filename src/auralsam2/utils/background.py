"""Bounded queue and prefetching between threads, safe against interrupts."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedQueue(Generic[T]):
    """Queue of at most `depth` items between threads, safe against interrupts.

    `queue.Queue` takes its locks in Python code: a Ctrl-C in between can lose a wake-up or leave a lock taken, so that
    the other thread waits for ever. Each step here is one call of C code.
    """

    def __init__(self, depth: int) -> None:
        self._items: SimpleQueue[T] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(depth):
            self._room.put(None)

    def put(self, item: T, timeout: float | None = None) -> bool:
        """Add an item and return True; return False if there is no room within `timeout` seconds."""
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
    """Iterate over `items`, computed in a background thread, at most `depth` items ahead.

    An error of the items is raised in the reader at its place. Leaving the `with` block stops the thread.
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
