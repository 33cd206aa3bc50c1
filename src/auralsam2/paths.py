"""Tests of paths from outside that never raise, whatever the name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def exists(path: Path) -> bool:
    """Return whether a path exists; False for names that the file system refuses, such as too long ones."""
    return _holds(path.exists)


def is_file(path: Path) -> bool:
    """Return whether a path is a file; False for names that the file system refuses, such as too long ones."""
    return _holds(path.is_file)


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; False for names that the file system refuses, such as too long ones."""
    return _holds(path.is_dir)


def _holds(test: Callable[[], bool]) -> bool:
    try:
        return test()
    except (OSError, ValueError):
        return False
