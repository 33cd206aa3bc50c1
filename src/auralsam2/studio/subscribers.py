"""Subscribers of a session: the open pages and their message queues."""

from __future__ import annotations

import asyncio
import json
from typing import Any

Message = dict[str, Any] | bytes
WAITING = 512
"""Maximum number of queued messages of a page."""


class Subscriber:
    """Message queue of one page.

    Args:
        loop: event loop that sends the messages.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: asyncio.Queue[str | bytes | None] = asyncio.Queue(WAITING + 1)
        self._gone = False

    def send(self, message: Message) -> None:
        """Queue a message, from any thread; a page with a full queue is disconnected."""
        sent = message if isinstance(message, bytes) else json.dumps(message)
        try:
            self._loop.call_soon_threadsafe(self._put, sent)
        except RuntimeError:  # the server has stopped
            self._gone = True

    async def next(self) -> str | bytes | None:
        """Return the next message; None if the page is to be disconnected."""
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
        """Add a subscriber."""
        self._listeners = self._listeners | {listener}

    def remove(self, listener: Subscriber) -> None:
        """Remove a subscriber."""
        self._listeners = self._listeners - {listener}

    def tell(self, message: Message) -> None:
        """Send a message to all subscribers, from any thread."""
        for listener in self._listeners:
            listener.send(message)
