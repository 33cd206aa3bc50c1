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
        self._began = time.monotonic()
        self._told = 0.0
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

    @property
    def progress(self) -> dict[str, Any]:
        """How far it is, and the seconds that are left."""
        total = self._total or self._objects * self._ticks
        eta = (time.monotonic() - self._began) / max(1, self._done) * max(0, total - self._done)
        return {"what": "run", "done": self._done, "total": total, "eta": round(eta, 1)}

    @property
    def due(self) -> bool:
        """Whether some time has passed since this was last asked, so that progress is worth a message."""
        now = time.monotonic()
        due = now - self._told >= _PERIOD
        if due:
            self._told = now
        return due
