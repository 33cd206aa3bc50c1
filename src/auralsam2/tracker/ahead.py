"""Read ahead: an iterator that runs in a thread of its own, a bounded number of items in front of its reader."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

from auralsam2.pipe import Pipe

T = TypeVar("T")
_END = object()


class ReadAhead(Generic[T]):
    """Iterate over `items`, made in a background thread.

    An error of the items is raised in the reader at its place. Leaving the `with` block stops the thread.

    Args:
        items: consumed in the thread.
        depth: items that may wait.
    """

    def __init__(self, items: Iterable[T], depth: int = 4) -> None:
        self._items = items
        self._waiting: Pipe[object] = Pipe(depth)
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)

    def __enter__(self) -> ReadAhead[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
