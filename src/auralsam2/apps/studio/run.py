"""One propagation on its way: its masks, how far it is, and which of its masks have been overtaken."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from auralsam2.types import Segmentation

_PERIOD = 0.25
"""Seconds between two messages of progress."""


class Run:
    """Masks of all objects, one after the other, as they are asked for.

    Args:
        masks: of a `Conversation`.
        objects: how many there are.
        ticks: how many frames the clip has.
        both: whether all frames come, or those from the first one on.

    Attributes:
        overtaken: (object, frame) pairs of which something was said since; the run knows nothing of it.
        gone: objects that were not there for a while since.
    """

    def __init__(self, masks: Iterator[Segmentation], objects: int, ticks: int, *, both: bool) -> None:
        self._masks = masks
        self._objects, self._ticks = objects, ticks
        self._total = objects * ticks if both else None
        self._done = 0
        self._began = self._told = time.monotonic()
        self.overtaken: set[tuple[int, int]] = set()
        self.gone: set[int] = set()

    def next(self) -> Segmentation | None:
        """The next mask; None at the end."""
        found = next(self._masks, None)
        if found is not None:
            if self._total is None:
                self._total = self._objects * (self._ticks - found.index)
            self._done += 1
        return found

    def counts(self, found: Segmentation) -> bool:
        """Whether a mask is still what the user would want to see."""
        return found.object not in self.gone and (found.object, found.index) not in self.overtaken

    def progress(self) -> dict[str, Any] | None:
        """How far it is; None where that was told a moment ago."""
        now = time.monotonic()
        if now - self._told < _PERIOD or not self._total:
            return None
        self._told = now
        left = max(0, self._total - self._done)
        eta = (now - self._began) / max(1, self._done) * left
        return {"is": "progress", "what": "run", "done": self._done, "total": self._total, "eta": round(eta, 1)}
