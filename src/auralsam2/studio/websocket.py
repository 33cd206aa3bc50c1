"""WebSocket between a page and a session: commands in, masks and state out."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect

from auralsam2.errors import AuralError
from auralsam2.studio.auth import PROTOCOL
from auralsam2.studio.commands import message_number, parse_command
from auralsam2.studio.session_manager import SessionManager
from auralsam2.studio.subscribers import Subscriber

NOT_FOUND, TOO_SLOW, TOO_MANY = 4404, 4408, 4429
MAX_PAGES = 64
"""Maximum number of connected pages of a session."""


async def serve_websocket(socket: WebSocket, name: str, manager: SessionManager) -> None:
    """Serve one page until it disconnects.

    Args:
        socket: connection, not yet accepted.
        name: id of the session.
        manager: manager of the sessions.
    """
    await socket.accept(PROTOCOL if PROTOCOL in socket.scope.get("subprotocols", ()) else None)
    try:
        manager.store.get(name)
    except AuralError as error:
        await socket.close(NOT_FOUND, str(error)[:120])
        return
    if manager.pages(name) >= MAX_PAGES:
        await socket.close(TOO_MANY, "too many pages of this session are open: close some")
        return
    subscriber = Subscriber(asyncio.get_running_loop())
    manager.subscribe(name, subscriber)
    sender = asyncio.create_task(_send(socket, subscriber))
    try:
        await _send_state(name, manager, subscriber)
        while (message := await socket.receive())["type"] == "websocket.receive":
            await _execute(message.get("text"), name, manager, subscriber)
    except WebSocketDisconnect:
        pass
    finally:
        sender.cancel()
        manager.unsubscribe(name, subscriber)


async def _send_state(name: str, manager: SessionManager, subscriber: Subscriber) -> None:
    try:
        session = await manager.open(name)
    except AuralError as error:
        subscriber.send({"is": "note", "text": str(error)})
    else:
        subscriber.send({"is": "state"} | {k: v for k, v in session.snapshot.items() if k not in ("times", "sound")})


async def _execute(text: str | None, name: str, manager: SessionManager, subscriber: Subscriber) -> None:
    try:
        number, command = parse_command(text or "")
    except AuralError as error:
        _reply(subscriber, message_number(text or ""), {"error": str(error)})
        return
    try:
        session = await manager.open(name)
    except AuralError as error:
        _reply(subscriber, number, {"error": str(error)})
        return
    session.submit(command, partial(_reply, subscriber, number))


def _reply(subscriber: Subscriber, number: int | None, answer: dict[str, Any]) -> None:
    subscriber.send({"re": number} | answer)


async def _send(socket: WebSocket, subscriber: Subscriber) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        while (message := await subscriber.next()) is not None:
            if isinstance(message, bytes):
                await socket.send_bytes(message)
            else:
                await socket.send_text(message)
        await socket.close(TOO_SLOW, "the page does not keep up: reload it")
