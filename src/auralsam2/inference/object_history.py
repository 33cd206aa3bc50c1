"""Registry of the objects of a session, with undo and redo."""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from auralsam2.arguments import as_index
from auralsam2.errors import UsageError
from auralsam2.inference.object_state import ObjectState

T = TypeVar("T")
DEPTH = 100
"""Number of steps that can be undone."""


class UndoHistory(Generic[T]):
    """The current state with earlier and undone states.

    Args:
        now: the first state.

    Attributes:
        now: the current state.
    """

    def __init__(self, now: T) -> None:
        self.now = now
        self._earlier: deque[T] = deque(maxlen=DEPTH)
        self._undone: list[T] = []

    def push(self, state: T) -> None:
        """Set a new state and discard the undone ones."""
        self._earlier.append(self.now)
        self._undone.clear()
        self.now = state

    def undo(self) -> None:
        """Return to the state before.

        Raises:
            UsageError: there is none, or it is older than `DEPTH` steps.
        """
        if not self._earlier:
            raise UsageError(f"nothing to undo: at most the last {DEPTH} steps can be undone")
        self._undone.append(self.now)
        self.now = self._earlier.pop()

    def redo(self) -> None:
        """Return to the state that was undone last.

        Raises:
            UsageError: there is none.
        """
        if not self._undone:
            raise UsageError("nothing to redo: nothing was undone since the last step")
        self._earlier.append(self.now)
        self.now = self._undone.pop()


class ObjectRegistry:
    """Objects by number. Each change is one step of the history."""

    def __init__(self) -> None:
        self._history: UndoHistory[Mapping[int, ObjectState]] = UndoHistory({})
        self._versions = itertools.count()

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the current objects, ascending."""
        return tuple(sorted(self._history.now))

    def __contains__(self, number: int) -> bool:
        return number in self._history.now

    def get(self, number: int) -> ObjectState:
        """Return the state of an object.

        Raises:
            UsageError: there is no such object.
        """
        number = as_index("object_id", number)
        if number not in self:
            numbers = ", ".join(map(str, self.numbers)) or "none yet"
            raise UsageError(f"no object {number}: there are {numbers}; prompt it, or call hear()")
        return self._history.now[number]

    def get_or_new(self, number: int) -> ObjectState:
        """Return the state of an object, or an empty state for a new number.

        Raises:
            UsageError: the number is not a whole one, or negative.
        """
        number = as_index("object_id", number)
        return self._history.now.get(number) or ObjectState(number=number)

    def put(self, state: ObjectState) -> ObjectState:
        """Replace the state of an object, remove it if the state is empty, and return the state with its version."""
        (state,) = self.put_all([state])
        return state

    def put_all(self, states: Iterable[ObjectState]) -> tuple[ObjectState, ...]:
        """Replace the states of several objects in one step; see `put`."""
        new = tuple(dataclasses.replace(state, versions=(next(self._versions), *state.versions)) for state in states)
        objects = {**self._history.now, **{state.number: state for state in new}}
        self._history.push({number: state for number, state in objects.items() if not state.empty})
        return new

    def remove(self, number: int) -> None:
        """Remove an object.

        Raises:
            UsageError: there is no such object.
        """
        removed = self.get(number).number
        self._history.push({other: state for other, state in self._history.now.items() if other != removed})

    def undo(self) -> None:
        """Undo the last step.

        Raises:
            UsageError: there is none.
        """
        self._history.undo()

    def redo(self) -> None:
        """Redo the step that was undone last.

        Raises:
            UsageError: there is none.
        """
        self._history.redo()
