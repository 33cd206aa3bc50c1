"""WebSocket between a page and a session: commands in, masks and state out."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect

from auralsam2.errors import AuralError
from auralsam2.studio.commands import number_of, parse_command
from auralsam2.studio.session_manager import SessionManager
from auralsam2.studio.subscribers import Subscriber

NOT_FOUND, TOO_SLOW = 4404, 4408


async def serve_websocket(socket: WebSocket, name: str, registry: SessionManager) -> None:
    """Serve one page until it disconnects.

    Args:
        socket: connection, not yet accepted.
        name: id of the session.
        registry: manager of the sessions.
    """
    await socket.accept()
    try:
        registry.store.get(name)
    except AuralError as error:
        await socket.close(NOT_FOUND, str(error)[:120])
        return
    listener = Subscriber(asyncio.get_running_loop())
    registry.join(name, listener)
    sender = asyncio.create_task(_send(socket, listener))
    try:
        await _greet(name, registry, listener)
        while (message := await socket.receive())["type"] == "websocket.receive":
            await _hear(message.get("text"), name, registry, listener)
    except WebSocketDisconnect:
        pass
    finally:
        sender.cancel()
        registry.leave(name, listener)


async def _greet(name: str, registry: SessionManager, listener: Subscriber) -> None:
    try:
        session = await registry.open(name)
    except AuralError as error:
        listener.send({"is": "note", "text": str(error)})
    else:
        listener.send({"is": "state"} | {k: v for k, v in session.snapshot.items() if k not in ("times", "sound")})


async def _hear(text: str | None, name: str, registry: SessionManager, listener: Subscriber) -> None:
    """Execute a command; the reply is sent when it is done."""
    try:
        number, command = parse_command(text or "")
    except AuralError as error:
        _answer(listener, number_of(text or ""), {"error": str(error)})
        return
    try:
        session = await registry.open(name)
    except AuralError as error:
        _answer(listener, number, {"error": str(error)})
        return
    session.ask(command, partial(_answer, listener, number))


def _answer(listener: Subscriber, number: int | None, answer: dict[str, Any]) -> None:
    listener.send({"re": number} | answer)


async def _send(socket: WebSocket, listener: Subscriber) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        while (message := await listener.next()) is not None:
            if isinstance(message, bytes):
                await socket.send_bytes(message)
            else:
                await socket.send_text(message)
        await socket.close(TOO_SLOW, "the page does not keep up: reload it")
