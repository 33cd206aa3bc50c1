"""Manager of the open sessions, a limited number of which is open while in use."""

from __future__ import annotations

import asyncio
import ctypes
import dataclasses
import gc
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from auralsam2.hub.registry import REGISTRY
from auralsam2.model import AuralSAM2
from auralsam2.model_context import streaming_network
from auralsam2.studio.session_state import SessionState
from auralsam2.studio.session_worker import SessionWorker
from auralsam2.studio.settings import Limits
from auralsam2.studio.shared_model import SharedModel
from auralsam2.studio.storage import RefusalError, SessionStore
from auralsam2.studio.subscribers import Subscriber, Subscribers

_TRIM_PERIOD = 15.0
"""Seconds between two returns of freed memory to the operating system while sessions are open."""


def release_memory() -> None:
    """Collect garbage, and return freed memory to the operating system."""
    gc.collect()
    _trim_memory()


def _trim_memory() -> None:
    """Return freed memory to the operating system; the C library of Linux retains it for each thread."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)


class SessionManager:
    """Open sessions on demand and close idle ones. Not thread-safe: used on the event loop.

    Args:
        store: all sessions.
        model: model that all sessions share at first.
        limits: limits of the server.
        load: loads another model by its name, without a download.

    Attributes:
        first_model: name of the model that the server was started with.
    """

    def __init__(self, store: SessionStore, model: AuralSAM2, limits: Limits, load: Callable[[str], AuralSAM2]) -> None:
        self.store, self.limits = store, limits
        self.first_model = model.name
        self._load, self._loading = load, ""
        share = max(1, limits.sessions)
        self._shared = SharedModel(model, threading.Lock(), limits.memory // share, limits.disk // share)
        self._open: dict[str, SessionWorker] = {}
        self._subscribers: dict[str, Subscribers] = {}
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start closing idle sessions."""
        self._schedule(self._sweep())

    async def stop(self) -> None:
        """Close all sessions."""
        for task in self._tasks:
            task.cancel()
        for name in list(self._open):
            await self.close(name)

    @property
    def model(self) -> AuralSAM2:
        """Model of the sessions that are opened from now on."""
        return self._shared.model

    async def use_model(self, name: str) -> None:
        """Load a model for the sessions that are opened from now on, and close open sessions that are idle.

        Busy sessions keep their model until they are closed. All models run one call at a time.

        Raises:
            RefusalError: the name is unknown, or a model is being loaded.
            AuralError: the model cannot be loaded; the model in use is unchanged.
        """
        if name not in REGISTRY and name != self.first_model:
            raise RefusalError(404, "no model of this name: reload the page")
        if self._loading:
            raise RefusalError(409, f"{self._loading} is being loaded: wait for its end")
        if name == self.model.name:
            return
        self._loading = name
        try:
            model = await asyncio.to_thread(self._load, name)
            streaming_network(model)  # raises for a baseline
        finally:
            self._loading = ""
        async with self._lock:
            self._shared = dataclasses.replace(self._shared, model=model)
            for opened, session in list(self._open.items()):
                if not session.busy:
                    await self._close(opened)
        await asyncio.to_thread(release_memory)

    def get_open(self, name: str) -> SessionWorker | None:
        """Return a session if it is open."""
        return self._open.get(name)

    async def open(self, name: str) -> SessionWorker:
        """Return a session, opening it if necessary; if too many are open, the one idle longest is closed.

        Raises:
            RefusalError: there is no such session, or all open ones are busy.
            InputError: the session is damaged.
        """
        folder = self.store.get(name)
        session = self._open.get(name)
        if session is None:
            async with self._lock:
                session = self._open.get(name)
                if session is None:
                    await self._close_idle()
                    state = await asyncio.to_thread(SessionState.load, folder)
                    session = self._open[name] = SessionWorker(state, self._subscribers_of(name), self._shared)
        session.used = time.monotonic()
        return session

    async def close(self, name: str) -> None:
        """Close a session and wait until its memory is released."""
        async with self._lock:
            await self._close(name)

    async def delete(self, name: str) -> None:
        """Delete a session.

        Raises:
            RefusalError: there is no such session.
        """
        folder = self.store.get(name)
        async with self._lock:
            await self._close(name)
            await asyncio.to_thread(self.store.delete, folder)

    def pages(self, name: str) -> int:
        """Return the number of connected pages of a session."""
        return len(self._subscribers.get(name, ()))

    def subscribe(self, name: str, subscriber: Subscriber) -> None:
        """Add a page to a session."""
        self._subscribers_of(name).add(subscriber)

    def unsubscribe(self, name: str, subscriber: Subscriber) -> None:
        """Remove a page; a session without pages is closed after a delay."""
        subscribers = self._subscribers_of(name)
        subscribers.remove(subscriber)
        if not subscribers:
            self._schedule(self._close_unwatched(name))

    def _subscribers_of(self, name: str) -> Subscribers:
        return self._subscribers.setdefault(name, Subscribers())

    async def _close_idle(self) -> None:
        while len(self._open) >= self.limits.sessions:
            idle = [(session.used, name) for name, session in self._open.items() if not session.busy]
            if not idle:
                raise RefusalError(
                    503,
                    f"{len(self._open)} sessions are at work: wait for one, cancel one, or start the studio with more "
                    "--sessions",
                )
            await self._close(min(idle)[1])

    async def _close(self, name: str) -> None:
        session = self._open.pop(name, None)
        if session is not None:
            await asyncio.to_thread(session.close)
            await asyncio.to_thread(release_memory)
        if not self._subscribers_of(name):
            self._subscribers.pop(name, None)

    async def _close_unwatched(self, name: str) -> None:
        while not self._subscribers_of(name):
            await asyncio.sleep(self.limits.grace)
            session = self._open.get(name)
            if session is None or not (session.busy or self._subscribers_of(name)):
                break
        if not self._subscribers_of(name):
            await self.close(name)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(_TRIM_PERIOD, self.limits.idle / 4))
            if self._open:
                await asyncio.to_thread(_trim_memory)
            now = time.monotonic()
            for name, session in list(self._open.items()):
                if not session.busy and now - session.used > self.limits.idle:
                    await self.close(name)

    def _schedule(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
