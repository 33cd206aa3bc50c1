"""Refuse concurrent use of an object from several threads."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from auralsam2.errors import UsageError

T = TypeVar("T")
_LOCK = "_exclusive_lock"


def exclusive_method(kind: type[T]) -> type[T]:
    """Class decorator: at most one thread at a time runs a public method, or advances an iterator that one returned.

    A second thread gets a `UsageError` at once. Threads may take turns. Properties are not guarded.
    """
    for name, method in list(vars(kind).items()):
        if inspect.isfunction(method) and not name.startswith("_"):
            setattr(kind, name, exclusive(method))
    return kind


def exclusive(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: as `exclusive_method`, for one method or for a function whose first argument is the object."""

    @functools.wraps(method)
    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        lock = vars(self).setdefault(_LOCK, threading.RLock())  # setdefault of a dict is atomic
        with _locked(lock):
            result = method(self, *arguments, **options)
        return ExclusiveIterator(result, lock) if isinstance(result, Iterator) else result

    return call


class ExclusiveIterator(Iterator[T]):
    """An iterator that one thread at a time advances.

    Args:
        items: the iterator.
        lock: of the object that returned it.
    """

    def __init__(self, items: Iterator[T], lock: Any) -> None:
        self._items, self._lock = items, lock

    def __iter__(self) -> ExclusiveIterator[T]:
        return self

    def __next__(self) -> T:
        with _locked(self._lock):
            return next(self._items)

    def close(self) -> None:
        """End the iteration.

        Raises:
            UsageError: another thread is using the object.
        """
        with _locked(self._lock):
            self._items = iter(())


@contextmanager
def _locked(lock: Any) -> Iterator[None]:
    """Hold the lock in the block.

    Raises:
        UsageError: another thread holds it.
    """
    if not lock.acquire(blocking=False):
        raise UsageError(
            "another thread is using this session: wait for its call to return, or open one session per thread"
        )
    try:
        yield
    finally:
        lock.release()
