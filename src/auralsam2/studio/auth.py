"""ASGI middleware: checks of host, origin and token, and security headers."""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-token"
_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+))(?::([0-9]{1,5}))?")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_STATIC = re.compile(r"/|/web/[A-Za-z0-9_-]+\.[a-z]+")
"""The page itself, which is public; everything else needs the token."""
_MEDIA = re.compile(r"/api/sessions/[A-Za-z0-9_-]{22}/(frame/[0-9]+\.jpg|spectrogram\.png|media|sound|export/[a-z-]+)")
"""Addresses of images, videos and downloads, which browsers request without a header."""
PROTOCOL = "auralsam2"
"""WebSocket subprotocol of the server; the page sends a second one, `token.` and the token."""
_OFFER = "token."


def media_key(token: str) -> str:
    """Return the key in the addresses of media, from which the token cannot be computed."""
    return hmac.new(token.encode(), b"media", "sha256").hexdigest()[:32]


class AccessGuard:
    """ASGI middleware that checks host, origin and token of each request, and adds security headers to responses.

    The token is sent in a header, or as a subprotocol of a WebSocket, and not in a cookie: browsers send the cookies of
    a host to all of its ports. Reading media needs the key in the address instead.

    Args:
        app: application behind it.
        token: the secret.
        host: address that the server listens on, accepted beside the names of the loopback device. With an address
            for all interfaces, any IP address is accepted, since other sites cannot use one as their name.
    """

    def __init__(self, app: ASGIApp, token: str, host: str) -> None:
        self._app = app
        self._token, self._media_key = token, media_key(token)
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
        if not self._is_allowed(scope, headers):
            await _reject(scope, send, 403, "the token is missing or old: open the address that the studio printed")
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), host)
            await send(message)

        await self._app(scope, receive, send_secured)

    def _is_allowed(self, scope: Scope, headers: Headers) -> bool:
        if scope["type"] == "websocket":
            offered = scope.get("subprotocols", ())
            if any(_equal(name.removeprefix(_OFFER), self._token) for name in offered):
                return True
        elif scope["method"] == "GET" and _STATIC.fullmatch(scope["path"]):
            return True
        elif scope["method"] == "GET" and _MEDIA.fullmatch(scope["path"]):
            query = parse_qs(scope["query_string"].decode("latin-1"))
            if _equal(query.get("k", [""])[0], self._media_key):
                return True
        return _equal(headers.get(HEADER, ""), self._token)

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


def _equal(text: str, secret: str) -> bool:
    return hmac.compare_digest(text.encode("utf-8", "surrogateescape"), secret.encode())


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
    """Reject a request."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4403, "reason": error})
        return
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
