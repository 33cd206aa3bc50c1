"""Propagation and export jobs of a session."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from auralsam2.errors import AuralError
from auralsam2.studio.exports import ExportOrder, write_export
from auralsam2.studio.storage import public_message
from auralsam2.types import Segmentation

_PERIOD = 0.25
"""Seconds between two progress messages."""


class PropagationJob:
    """Propagation of all objects, one mask at a time.

    Args:
        masks: output of `VideoSession.propagate`.
        objects: number of objects.
        ticks: number of frames of the clip.
        both: whether all frames are processed, or those from the first prompted one on.

    Attributes:
        outdated: (object, frame) pairs whose prompts have changed since the start; their masks are ignored.
        removed: objects that were removed since the start; their masks are ignored.
    """

    def __init__(self, masks: Iterator[Segmentation], objects: int, ticks: int, *, both: bool) -> None:
        self._masks = masks
        self._objects, self._ticks = objects, ticks
        self._total = objects * ticks if both else None
        self._done = 0
        self._started = time.monotonic()
        self._last_report = 0.0
        self.outdated: set[tuple[int, int]] = set()
        self.removed: set[int] = set()

    def next_mask(self) -> Segmentation | None:
        """Return the next mask, None at the end."""
        segmentation = next(self._masks, None)
        if segmentation is not None:
            if self._total is None:
                self._total = self._objects * (self._ticks - segmentation.index)
            self._done += 1
        return segmentation

    def is_current(self, segmentation: Segmentation) -> bool:
        """Return whether a mask is still valid for its prompts."""
        number = segmentation.object_id
        return number not in self.removed and (number, segmentation.index) not in self.outdated

    @property
    def progress(self) -> dict[str, Any]:
        """Progress message with the estimated remaining seconds."""
        total = self._total or self._objects * self._ticks
        eta = (time.monotonic() - self._started) / max(1, self._done) * max(0, total - self._done)
        return {"what": "run", "done": self._done, "total": total, "eta": round(eta, 1)}

    @property
    def report_due(self) -> bool:
        """True if the last progress message is older than `_PERIOD`; resets the timer."""
        now = time.monotonic()
        due = now - self._last_report >= _PERIOD
        if due:
            self._last_report = now
        return due


_log = logging.getLogger(__name__)
_EXPORT_PERIOD = 0.25


class _CancelledError(Exception):
    """Cancellation by the user."""


class ExportJob:
    """Export in a background thread.

    Args:
        order: export to write.
        publish: sends messages to the page, callable from any thread.

    Attributes:
        progress: progress message with the estimated remaining seconds.
    """

    def __init__(self, order: ExportOrder, publish: Callable[[dict[str, Any]], None]) -> None:
        self._order, self._publish = order, publish
        self._stop = threading.Event()
        self._started = self._last_report = time.monotonic()
        self.progress: dict[str, Any] = {"what": "export", "kind": order.kind, "done": 0, "total": 1, "eta": 0.0}
        self._thread = threading.Thread(target=self._write, name=f"export-{order.kind}", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the export is running."""
        return self._thread.is_alive()

    def cancel(self) -> None:
        """Stop at the next step."""
        self._stop.set()

    def join(self) -> None:
        """Wait for the end of the thread."""
        self._thread.join()

    def _write(self) -> None:
        message = {"what": "export", "kind": self._order.kind}
        try:
            write_export(self._order, self._advance)
        except _CancelledError:
            self._publish({"is": "cancelled"} | message)
        except AuralError as error:
            self._publish(
                {"is": "cancelled", "error": public_message(error, self._order.folder, self._order.name)} | message
            )
        except Exception:
            _log.exception("export of %s", self._order.kind)
            self._publish({"is": "cancelled", "error": "the export failed: see the server's log"} | message)
        else:
            self._publish({"is": "done"} | message)

    def _advance(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise _CancelledError
        now = time.monotonic()
        eta = (now - self._started) / max(1, done) * (total - done)
        self.progress = self.progress | {"done": done, "total": total, "eta": round(eta, 1)}
        if now - self._last_report >= _EXPORT_PERIOD:
            self._last_report = now
            self._publish({"is": "progress"} | self.progress)
