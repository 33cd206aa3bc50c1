"""A bounded queue between two threads that an interrupt cannot break."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Pipe(Generic[T]):
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
        """Add an item as soon as there is room.

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
        """Add an item at once, beyond the bound: the word that nothing follows."""
        self._items.put(item)

    def get(self) -> T:
        """The next item; waits for it."""
        item = self._items.get()
        self._room.put(None)
        return item
