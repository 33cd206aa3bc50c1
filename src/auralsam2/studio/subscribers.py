"""Subscribers of a session: the open pages and their message queues."""

from __future__ import annotations

import asyncio
import json
from typing import Any

Message = dict[str, Any] | bytes
MAX_QUEUED = 512
"""Maximum number of queued messages of a page."""


class Subscriber:
    """Message queue of one page.

    Args:
        loop: event loop that sends the messages.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: asyncio.Queue[str | bytes | None] = asyncio.Queue(MAX_QUEUED + 1)
        self._closed = False

    def send(self, message: Message) -> None:
        """Queue a message, from any thread; a page with a full queue is disconnected."""
        data = message if isinstance(message, bytes) else json.dumps(message)
        try:
            self._loop.call_soon_threadsafe(self._put, data)
        except RuntimeError:  # the server has stopped
            self._closed = True

    async def next(self) -> str | bytes | None:
        """Return the next message; None if the page is to be disconnected."""
        return await self._queue.get()

    def _put(self, message: str | bytes) -> None:
        if self._closed:
            return
        if self._queue.qsize() >= MAX_QUEUED:
            self._closed = True
            while not self._queue.empty():
                self._queue.get_nowait()
            self._queue.put_nowait(None)
            return
        self._queue.put_nowait(message)


class Subscribers:
    """All pages of one session."""

    def __init__(self) -> None:
        self._subscribers: set[Subscriber] = set()

    def __len__(self) -> int:
        return len(self._subscribers)

    def add(self, subscriber: Subscriber) -> None:
        """Add a subscriber."""
        self._subscribers = self._subscribers | {subscriber}

    def remove(self, subscriber: Subscriber) -> None:
        """Remove a subscriber."""
        self._subscribers = self._subscribers - {subscriber}

    def publish(self, message: Message) -> None:
        """Send a message to all subscribers, from any thread."""
        for subscriber in self._subscribers:
            subscriber.send(message)
