"""ASGI middleware: checks of host, origin and token, and security headers."""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auralsam2.studio.storage import ID

HEADER = "x-token"
_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+))(?::([0-9]{1,5}))?")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>auralsam2 Studio</title>
<body style="font: 18px/1.5 system-ui, sans-serif; max-width: 34em; margin: 15vh auto; padding: 0 1em">
<h1>This page is locked</h1>
<p>The Studio opens for the address that <code>auralsam2 studio</code> printed when it was started: it ends in
<code>?token=…</code>. Copy the whole address into the browser. After a restart it is a new one.</p>
"""


class AccessGuard:
    """ASGI middleware that checks host, origin and token of each request, and adds security headers to responses.

    Args:
        app: application behind it.
        token: the secret.
        host: address that the server listens on, accepted beside the names of the loopback device. With an address
            for all interfaces, any IP address is accepted, since other sites cannot use one as their name.
    """

    def __init__(self, app: ASGIApp, token: str, host: str) -> None:
        self._app = app
        self._token = token.encode()
        self._host = host.lower()
        self._all_interfaces = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_own_host(host):
            await _reject(scope, send, 421, "this address is not the studio's: use the one that it printed")
            return
        origin = headers.get("origin")
        if origin not in (None, f"http://{host}", f"https://{host}") or (scope["type"] == "websocket" and not origin):
            await _reject(scope, send, 403, "the request came from another site: open the studio's own page")
            return
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"] == "/" and "token" in query:
            if self._is_token(query["token"][0]):
                await self._set_cookie(_cookie_name(host), query.get("open", [""])[0], send)
            else:
                await _reject(scope, send, 403, "")
            return
        if not (self._is_token(headers.get(HEADER, "")) or self._is_token(_cookie(headers, _cookie_name(host)))):
            await _reject(scope, send, 403, "the token is missing or old: open the address that the studio printed")
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), host)
            await send(message)

        await self._app(scope, receive, send_secured)

    def _is_token(self, token: str) -> bool:
        return hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self._token)

    def _is_own_host(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = (match[1] or match[2]).lower()
        if self._all_interfaces:
            try:
                ipaddress.ip_address(name)
            except ValueError:
                pass
            else:
                return True
        return name in _LOOPBACK or name == self._host

    async def _set_cookie(self, name: str, session: str, send: Send) -> None:
        target = f"/?open={session}" if ID.fullmatch(session) else "/"
        cookie = f"{name}={self._token.decode()}; HttpOnly; SameSite=Strict; Path=/"
        headers = [(b"location", target.encode()), (b"set-cookie", cookie.encode())]
        headers += [(b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def _cookie_name(host: str) -> str:
    """Return the name of the cookie, which contains the port since browsers share cookies between ports."""
    match = _HOST.fullmatch(host)
    port = match[3] if match is not None else None
    return f"auralsam2-{port}" if port else "auralsam2"


def _cookie(headers: Headers, name: str) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


def _add_headers(headers: MutableHeaders, host: str) -> None:
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers["X-Frame-Options"] = "DENY"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    # Some browsers do not treat a WebSocket of the same host as 'self'.
    headers["Content-Security-Policy"] = (
        f"default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self' ws://{host} "
        f"wss://{host}; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    headers.setdefault("Cache-Control", "no-store")


async def _reject(scope: Scope, send: Send, status: int, error: str) -> None:
    """Reject a request, with a page for a browser and JSON for a program."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4403, "reason": error})
        return
    page = scope["path"] == "/" and status == 403 and scope["method"] == "GET"
    body = _PAGE.encode() if page else json.dumps({"error": error}).encode()
    kind = b"text/html; charset=utf-8" if page else b"application/json"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    headers += [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
