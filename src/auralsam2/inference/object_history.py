"""The cast: the objects there are, with all changes of them that can be taken back."""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from auralsam2.errors import UsageError
from auralsam2.inference.object_state import ObjectState

T = TypeVar("T")
DEPTH = 100
"""Steps that can be taken back."""


class UndoHistory(Generic[T]):
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


class ObjectRegistry:
    """Tracks by number; every change is a step that can be undone."""

    def __init__(self) -> None:
        self._history: UndoHistory[Mapping[int, ObjectState]] = UndoHistory({})
        self._versions = itertools.count()

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the objects that are there, ascending."""
        return tuple(sorted(self._history.now))

    def __contains__(self, number: int) -> bool:
        return number in self._history.now

    def get(self, number: int) -> ObjectState:
        """An object.

        Raises:
            UsageError: it is not there.
        """
        if number not in self:
            there = ", ".join(map(str, self.numbers)) or "none yet"
            raise UsageError(f"no object {number}: there are {there}; point at one, or call hear(), to make it")
        return self._history.now[number]

    def get_or_new(self, number: int) -> ObjectState:
        """An object, or one of which nothing is said.

        Raises:
            UsageError: objects have no such numbers.
        """
        if number < 0:
            raise UsageError(f"object {number}: numbers start at 0, which is what sounds")
        return self._history.now.get(number) or ObjectState(number=number)

    def put(self, state: ObjectState) -> ObjectState:
        """A new state of an object, returned with its version; without anything asked of it, it goes."""
        (state,) = self.put_all([state])
        return state

    def put_all(self, states: Iterable[ObjectState]) -> tuple[ObjectState, ...]:
        """New states of several objects in one step."""
        new = tuple(dataclasses.replace(state, versions=(next(self._versions), *state.versions)) for state in states)
        after = {**self._history.now, **{state.number: state for state in new}}
        self._history.push({number: state for number, state in after.items() if not state.empty})
        return new

    def remove(self, number: int) -> None:
        """Forget an object.

        Raises:
            UsageError: it is not there.
        """
        self.get(number)
        self._history.push({other: state for other, state in self._history.now.items() if other != number})

    def undo(self) -> None:
        """Take the last step back.

        Raises:
            UsageError: there is none.
        """
        self._history.undo()

    def redo(self) -> None:
        """Take the last undo back.

        Raises:
            UsageError: there is none.
        """
        self._history.redo()
