"""What a page sends on its way to becoming a session: received, then looked through, and how far that is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

from fastapi import Request
from starlette.requests import ClientDisconnect

from auralsam2.apps.studio.refusal import RefusalError
from auralsam2.apps.studio.settings import Limits
from auralsam2.apps.studio.store import ID, Folder, Store
from auralsam2.apps.studio.upload import Advance, receive

_DRAINED = 64_000_000
_DIGITS = 18
"""Digits of a length that are read; a longer one is too large in any case."""
_READING = 2
"""Videos that are looked through at the same time."""
_PERIOD = 0.5
"""Seconds between two looks at whether the page is still there."""

Take = Callable[[Folder, Path, Advance], None]
"""Makes a session of a file in its folder, and tells how far it is."""


class Arrivals:
    """Everything that is on its way. Used on the event loop, except for `Take`.

    Args:
        store: where sessions lie.
        limits: bounds.
    """

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store, self._limits = store, limits
        self._parts: dict[str, float] = {}
        self._reading = asyncio.Semaphore(_READING)

    def part(self, job: str) -> float | None:
        """How much was looked through, in [0, 1], of what was sent under this name; None before and after that."""
        return self._parts.get(job)

    async def grow(self, request: Request, job: str, take: Take) -> dict[str, str]:
        """A new session out of what is sent; on any failure nothing of it stays.

        Args:
            request: has the file as its body.
            job: a name for it, made up by the page; anything but 22 letters of an id for none.
            take: makes a session of it.

        Raises:
            RefusalError: it is too large, or its sender has gone.
        """
        with self._store.growing() as folder:
            file = folder.path / "received"
            await self._receive(request, file)
            async with self._reading:
                await self._look(request, job, lambda advance: take(folder, file, advance))
            return {"id": self._store.finish(folder).id}

    async def bring(self, make: Callable[[], Folder]) -> dict[str, str]:
        """A new session of a file that is here already, in its turn."""
        async with self._reading:
            folder = await asyncio.to_thread(make)
        return {"id": folder.id}

    async def _receive(self, request: Request, file: Path) -> None:
        length = request.headers.get("content-length", "")
        body = request.stream()
        try:
            await receive(body, int(length[:_DIGITS]) if length.isdecimal() else None, file, self._limits)
        except ClientDisconnect as error:
            raise _broken_off() from error
        except RefusalError:
            file.unlink(missing_ok=True)
            await _drain(body)
            raise

    async def _look(self, request: Request, job: str, work: Callable[[Advance], None]) -> None:
        """Do the work in a thread, until it is done or nobody waits for it any more."""
        gone = threading.Event()
        named = ID.fullmatch(job) is not None

        def advance(part: float) -> None:
            if gone.is_set():
                raise _broken_off()
            if named:
                self._parts[job] = part

        try:
            working = asyncio.ensure_future(asyncio.to_thread(work, advance))
            while not working.done():
                await asyncio.wait({working}, timeout=_PERIOD)
                if await request.is_disconnected():
                    gone.set()
            working.result()
            if gone.is_set():
                raise _broken_off()
        finally:
            self._parts.pop(job, None)


def _broken_off() -> RefusalError:
    return RefusalError(400, "the upload was broken off: send the file again")


async def _drain(body: AsyncIterator[bytes]) -> None:
    """Let some more come, unread: browsers hear the answer only when they have sent what is on its way."""
    left = _DRAINED
    with suppress(ClientDisconnect):
        async for chunk in body:
            left -= len(chunk)
            if left < 0:
                return
