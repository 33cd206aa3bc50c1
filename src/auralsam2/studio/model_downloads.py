"""Models that the page can choose, and downloads of released ones."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from auralsam2.config import ModelConfig
from auralsam2.errors import AuralError
from auralsam2.hub import download
from auralsam2.hub.access import HubAccess, download_progress, hub_access
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
                "cached": row["cached"] and row["name"] not in progress and _has_parts(row["name"]),
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
                _fetch_parts(name, lambda part: self._begin(name, part))
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


def _fetch_parts(name: str, begin: Callable[[str], None]) -> None:
    """Download a model, its SAM 2 and its text encoder; `begin` is called before each of the latter two."""
    folder = download.resolve(name)
    config = ModelConfig.load(folder)
    begin("SAM 2")
    download.fetch_sam2(config.sam2, folder)
    if config.text is not None:
        begin("text encoder")
        download.fetch_text(config.text, folder)


def _has_parts(name: str) -> bool:
    """Return whether all parts of a model are on this machine, without a request."""
    try:
        with hub_access(HubAccess(local_files_only=True)):
            _fetch_parts(name, lambda _: None)
    except AuralError:
        return False
    return True


def _part(name: str) -> dict[str, Any]:
    return {"part": name, "done": 0, "total": 0}
