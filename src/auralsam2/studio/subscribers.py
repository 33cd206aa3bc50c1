"""The pages that watch a session."""

from __future__ import annotations

import asyncio
import json
from typing import Any

Message = dict[str, Any] | bytes
WAITING = 512
"""Messages that may wait for a page that takes none."""


class Subscriber:
    """One page: what is sent to it waits here.

    Args:
        loop: the event loop that takes messages out.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: asyncio.Queue[str | bytes | None] = asyncio.Queue(WAITING + 1)
        self._gone = False

    def send(self, message: Message) -> None:
        """Put a message on its way, from any thread; a page that does not keep up is let go."""
        sent = message if isinstance(message, bytes) else json.dumps(message)
        try:
            self._loop.call_soon_threadsafe(self._put, sent)
        except RuntimeError:  # the server has stopped
            self._gone = True

    async def next(self) -> str | bytes | None:
        """The next message; None when the page has to go."""
        return await self._waiting.get()

    def _put(self, message: str | bytes) -> None:
        if self._gone:
            return
        if self._waiting.qsize() >= WAITING:
            self._gone = True
            while not self._waiting.empty():
                self._waiting.get_nowait()
            self._waiting.put_nowait(None)
            return
        self._waiting.put_nowait(message)


class Subscribers:
    """All pages of one session."""

    def __init__(self) -> None:
        self._listeners: set[Subscriber] = set()

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, listener: Subscriber) -> None:
        """Somebody comes."""
        self._listeners = self._listeners | {listener}

    def remove(self, listener: Subscriber) -> None:
        """Somebody goes."""
        self._listeners = self._listeners - {listener}

    def tell(self, message: Message) -> None:
        """Send to all, from any thread."""
        for listener in self._listeners:
            listener.send(message)
