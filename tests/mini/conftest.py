"""Fixtures of the tests of the bundled model."""

from helpers.one_thread import one_thread

__all__ = ["one_thread"]
