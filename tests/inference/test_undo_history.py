"""Undo and redo."""

from __future__ import annotations

import pytest

from auralsam2.errors import UsageError
from auralsam2.inference.object_history import DEPTH, UndoHistory


def test_back_and_forth() -> None:
    history = UndoHistory(0)
    history.push(1)
    history.push(2)
    history.undo()
    history.undo()
    assert history.now == 0
    history.redo()
    assert history.now == 1
    history.push(5)
    with pytest.raises(UsageError, match="nothing to redo"):
        history.redo()
    history.undo()
    assert history.now == 1


def test_there_is_a_first_state() -> None:
    with pytest.raises(UsageError, match="nothing to undo"):
        UndoHistory("first").undo()


def test_it_does_not_grow_for_ever() -> None:
    history = UndoHistory(0)
    for step in range(1, 3 * DEPTH):
        history.push(step)
    for _ in range(DEPTH):
        history.undo()
    assert history.now == 3 * DEPTH - 1 - DEPTH
    with pytest.raises(UsageError):
        history.undo()
