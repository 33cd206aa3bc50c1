"""An export on its way, in a thread of its own: it needs no network, so nobody waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from auralsam2.apps.studio.exports import Order, make
from auralsam2.apps.studio.store import plainly
from auralsam2.errors import AuralError

_log = logging.getLogger(__name__)
_PERIOD = 0.25


class _CancelledError(Exception):
    """The user has changed their mind."""


class Export:
    """One export.

    Args:
        order: says what to make.
        tell: takes messages for the page, from any thread.

    Attributes:
        progress: how far it is, and the seconds that are left.
    """

    def __init__(self, order: Order, tell: Callable[[dict[str, Any]], None]) -> None:
        self._order, self._tell = order, tell
        self._stop = threading.Event()
        self._began = self._told = time.monotonic()
        self.progress: dict[str, Any] = {"what": "export", "kind": order.kind, "done": 0, "total": 1, "eta": 0.0}
        self._thread = threading.Thread(target=self._make, name=f"export-{order.kind}", daemon=True)
        self._thread.start()

    @property
    def going(self) -> bool:
        """Whether it is not done yet."""
        return self._thread.is_alive()

    def cancel(self) -> None:
        """Stop at the next step."""
        self._stop.set()

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()

    def _make(self) -> None:
        about = {"what": "export", "kind": self._order.kind}
        try:
            make(self._order, self._advance)
        except _CancelledError:
            self._tell({"is": "cancelled"} | about)
        except AuralError as error:
            self._tell({"is": "cancelled", "error": plainly(error, self._order.folder, self._order.name)} | about)
        except Exception:
            _log.exception("export of %s", self._order.kind)
            self._tell({"is": "cancelled", "error": "the export failed: the server's log says why"} | about)
        else:
            self._tell({"is": "done"} | about)

    def _advance(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise _CancelledError
        now = time.monotonic()
        eta = (now - self._began) / max(1, done) * (total - done)
        self.progress = self.progress | {"done": done, "total": total, "eta": round(eta, 1)}
        if now - self._told >= _PERIOD:
            self._told = now
            self._tell({"is": "progress"} | self.progress)
