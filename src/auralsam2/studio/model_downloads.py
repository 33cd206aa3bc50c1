"""Models that the page can choose, and downloads of released ones."""

from __future__ import annotations

import logging
import threading
from typing import Any

from auralsam2.errors import AuralError
from auralsam2.hub import download
from auralsam2.hub.access import download_progress
from auralsam2.hub.model_choice import fetch_parts, has_parts
from auralsam2.hub.registry import REGISTRY
from auralsam2.studio.storage import RefusalError

_log = logging.getLogger(__name__)


class ModelDownloads:
    """Downloads of models, one at a time, in a thread that ends with the server. Thread-safe.

    An interrupted download continues where it was when it is started again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress: dict[str, dict[str, Any]] = {}
        self._running: str | None = None

    def listing(self, first: str | None = None) -> list[dict[str, Any]]:
        """Return the models that the page can choose: the released and the bundled ones.

        Args:
            first: name of the model that the server was started with, which the page can choose again.

        Returns:
            for each model `name`, `task`, `size_mb`, `cached` (whether all of its parts are on this machine), and
            `download`: None, or the `part` that arrives with its `done` and `total` bytes, or `error`. Task and size of
            an unregistered model are None.
        """
        with self._lock:
            progress = {name: dict(values) for name, values in self._progress.items()}
        rows = [
            {
                "name": row["name"],
                "task": row["task"],
                "size_mb": REGISTRY[row["name"]].size_mb or row["size_mb"],
                "cached": row["cached"] and row["name"] not in progress and has_parts(row["name"]),
                "download": progress.get(row["name"]),
            }
            for row in download.available()
        ]
        if first is not None and first not in REGISTRY:
            unknown = dict.fromkeys(("task", "size_mb", "download"))
            rows.append({"name": first, "cached": True} | unknown)
        return rows

    def start(self, name: str) -> None:
        """Start the download of a model with its SAM 2 and text encoder.

        Raises:
            RefusalError: there is no such released model, or another one is downloaded.
        """
        entry = REGISTRY.get(name)
        if entry is None or entry.repo is None:
            raise RefusalError(404, "no released model of this name: reload the page")
        with self._lock:
            if self._running is not None:
                raise RefusalError(409, f"{self._running} is being downloaded: wait for its end")
            self._running = name
            self._progress[name] = _part("checkpoint")
        threading.Thread(target=self._fetch, args=(name,), name=f"download-{name}", daemon=True).start()

    def _fetch(self, name: str) -> None:
        error = None
        try:
            with download_progress(lambda done, total: self._report(name, done, total)):
                fetch_parts(name, lambda part: self._begin(name, part))
        except AuralError as failure:
            error = str(failure)
        except Exception:
            _log.exception("download of %s", name)
            error = "the download failed: see the server's log"
        with self._lock:
            self._running = None
            if error is None:
                del self._progress[name]
            else:
                self._progress[name] = {"error": error}

    def _begin(self, name: str, part: str) -> None:
        with self._lock:
            self._progress[name] = _part(part)

    def _report(self, name: str, done: int, total: int) -> None:
        with self._lock:
            part = self._progress[name]
            if total > part["total"] or done > part["done"]:
                self._progress[name] = part | {"done": max(done, part["done"]), "total": max(total, part["total"])}


def _part(name: str) -> dict[str, Any]:
    return {"part": name, "done": 0, "total": 0}
