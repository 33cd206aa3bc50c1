"""Access to the Hugging Face hub: cache, token and network of the requests inside a `with` block."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from huggingface_hub.utils import tqdm

from auralsam2.arguments import as_path
from auralsam2.errors import UsageError, quoted


@dataclass(frozen=True, kw_only=True)
class HubAccess:
    """Arguments of huggingface_hub; values that are not given follow its environment variables.

    Attributes:
        token: access token; True for the stored one, which must exist, False for none.
        cache_dir: folder of the hub's cache.
        local_files_only: make no request.
    """

    token: str | bool | None = None
    cache_dir: Path | None = None
    local_files_only: bool = False


def parse_access(values: dict[str, Any]) -> HubAccess:
    """Check the arguments `token`, `cache_dir` and `local_files_only`.

    Raises:
        UsageError: another argument, or a value of another type.
    """
    known = [field.name for field in fields(HubAccess)]
    if unknown := sorted(values.keys() - set(known)):
        choices = ", ".join(f"`{name}`" for name in ("revision", *known))
        raise UsageError(f"no argument `{unknown[0]}`: choose from {choices}")
    checked = {}
    for name, value in values.items():
        if name == "cache_dir" and value is not None:
            value = as_path(name, value)
        elif name == "local_files_only" and not isinstance(value, bool):
            raise UsageError(f"`{name}={quoted(value)}`: give True or False")
        elif name == "token" and not (value is None or isinstance(value, str | bool)):
            raise UsageError("`token`: give an access token, True or False")
        checked[name] = value
    return HubAccess(**checked)


_CURRENT: ContextVar[HubAccess] = ContextVar("hub_access", default=HubAccess())  # noqa: B039 - frozen


@contextmanager
def hub_access(access: HubAccess) -> Iterator[None]:
    """Use other arguments for the requests of this thread inside the `with` block."""
    before = _CURRENT.set(access)
    try:
        yield
    finally:
        _CURRENT.reset(before)


Report = Callable[[int, int], None]
"""Callback with the received and all bytes of a file, or of the files of a repository."""
_REPORT: ContextVar[Report | None] = ContextVar("download_progress", default=None)


@contextmanager
def download_progress(report: Report) -> Iterator[None]:
    """Report the progress of the downloads of this thread inside the `with` block, in place of bars on stderr."""
    before = _REPORT.set(report)
    try:
        yield
    finally:
        _REPORT.reset(before)


def _progress_bar(report: Report) -> type[tqdm]:
    """Return a class of progress bars for huggingface_hub, which print nothing."""

    class ReportingBar(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._counts_bytes, self._received = options.get("unit") == "B", options.get("initial") or 0
            super().__init__(*arguments, **(options | {"disable": True}))

        def update(self, n: float | None = 1) -> bool | None:
            self._received += n or 0
            if self._counts_bytes and self.total:
                report(int(self._received), int(self.total))
            return super().update(n)

    return ReportingBar


def endpoint() -> str | None:
    """Return the hub's address, None for the default. huggingface_hub reads it only when it is imported."""
    return (os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None


def offline_reason() -> str | None:
    """Return the setting that forbids requests, None without one."""
    if _CURRENT.get().local_files_only:
        return "`local_files_only` is set"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return "HF_HUB_OFFLINE is set"
    return None


def hub_options() -> dict[str, Any]:
    """Return the arguments of all downloads, from the current access and environment."""
    access, report = _CURRENT.get(), _REPORT.get()
    return {
        "endpoint": endpoint(),
        "cache_dir": access.cache_dir or os.environ.get("HF_HUB_CACHE") or None,
        "local_files_only": offline_reason() is not None,
        "library_name": "auralsam2",
        "token": access.token,
    } | ({} if report is None else {"tqdm_class": _progress_bar(report)})
