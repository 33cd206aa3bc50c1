"""Undo and redo over states that are never changed."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from auralsam2.errors import UsageError

T = TypeVar("T")
DEPTH = 100
"""Steps that can be taken back."""


class History(Generic[T]):
    """The present state, with those before it and those that were undone.

    Args:
        now: the first state.
    """

    def __init__(self, now: T) -> None:
        self.now = now
        self._before: deque[T] = deque(maxlen=DEPTH)
        self._undone: list[T] = []

    def push(self, state: T) -> None:
        """Go on to a new state; what was undone is forgotten."""
        self._before.append(self.now)
        self._undone.clear()
        self.now = state

    def undo(self) -> None:
        """Go back.

        Raises:
            UsageError: nothing was done, or nothing that is still known.
        """
        if not self._before:
            raise UsageError(f"nothing to undo: at most the last {DEPTH} steps are known")
        self._undone.append(self.now)
        self.now = self._before.pop()

    def redo(self) -> None:
        """Take an undo back.

        Raises:
            UsageError: nothing was undone since the last step.
        """
        if not self._undone:
            raise UsageError("nothing to redo: nothing was undone since the last step")
        self._before.append(self.now)
        self.now = self._undone.pop()
