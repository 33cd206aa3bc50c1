"""A request that is not granted."""

from __future__ import annotations

from auralsam2.errors import AuralError


class RefusalError(AuralError):
    """A request that is not granted.

    Args:
        status: of HTTP.
        message: one sentence that names the remedy.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
