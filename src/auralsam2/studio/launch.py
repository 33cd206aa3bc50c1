"""`auralsam2 studio`: from the command line to a server that listens."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
import secrets
import socket
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from auralsam2.errors import EXIT_DONE, InputError, UnavailableError, UsageError, message_line
from auralsam2.hub import download
from auralsam2.studio.settings import Limits, Settings, default_home
from auralsam2.utils import signals

_NEEDED = ("fastapi", "uvicorn", "websockets")
_SHORTEST_TOKEN = 16
_LONGEST_MESSAGE = 8 << 20
"""Bytes of what a page may send at once: a painted mask."""
_GRACE = 5


@dataclass(frozen=True, kw_only=True)
class StudioOptions:
    """What the command line says.

    Attributes:
        video: to begin with, or None.
        model: name, folder or hub id.
        host, port: to listen on; port 0 takes a free one.
        token: given, or None for a random one.
        home: of the sessions, or None for the user's folder for data.
        max_upload: bytes.
        max_minutes: length of a video.
        sessions: open at the same time.
        open_page: in the browser.
        device, dtype: as on the command line.
        threads: of the CPU; None leaves it to torch.
    """

    video: Path | None
    model: str
    host: str
    port: int
    token: str | None
    home: Path | None
    max_upload: int
    max_minutes: float
    sessions: int
    open_page: bool
    device: str
    dtype: str
    threads: int | None


def run_studio(job: StudioOptions) -> int:
    """Serve until interrupted.

    Returns:
        the exit code: 0 after Ctrl-C, 128 + its number after another signal.

    Raises:
        UnavailableError: the extra is not installed, or the model is out of reach.
        UsageError: the options do not go together, the port is taken, or the model takes whole clips alone.
        InputError: the video is not taken.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UnavailableError(f"the studio needs {', '.join(missing)}: pip install 'auralsam2[studio]'")
    token = _token(job)
    if job.video is not None and not job.video.is_file():
        raise InputError(f"{job.video}: no such file")
    download.check(job.model)
    with _listening(job.host, job.port) as listener:
        return _serve(job, token, listener)


def _serve(job: StudioOptions, token: str, listener: socket.socket) -> int:
    """The part that needs a model."""
    import torch
    import uvicorn

    from auralsam2.model import AuralSAM2
    from auralsam2.studio.routes import create_app, import_demo
    from auralsam2.studio.storage import SessionStore
    from auralsam2.studio.uploads import safe_name

    if job.threads is not None:
        torch.set_num_threads(job.threads)
    limits = Limits(upload=job.max_upload, minutes=job.max_minutes, sessions=job.sessions)
    settings = Settings(token=token, home=job.home or default_home(), host=job.host, limits=limits)
    with SessionStore(settings.home) as store:
        _note(f"loading model {job.model}")
        model = AuralSAM2.from_pretrained(job.model, job.device, job.dtype)
        # Sessions need a model that takes videos of any length; better to say so now than when one is opened.
        model.streaming()
        opened = None
        if job.video is not None:
            _note(f"looking through {job.video}")
            opened = import_demo(store, job.video, safe_name(job.video.name), None, limits, model.name).id
        url = _url(job.host, listener.getsockname()[1], token, opened)
        config = uvicorn.Config(
            create_app(settings, model, store),
            log_level="warning",
            access_log=False,
            server_header=False,
            ws_max_size=_LONGEST_MESSAGE,
            # Masks are deflated already.
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=_GRACE,
        )
        # Connections that come from now on wait until the server takes them.
        print(url, flush=True)
        if job.open_page and _has_screen():
            webbrowser.open(url)
        server = uvicorn.Server(config)

        def stop() -> None:
            server.should_exit = True

        # Uvicorn handles SIGINT and SIGTERM itself, and passes them on when all is closed.
        with suppress(KeyboardInterrupt), signals.hang_up_calls(stop):
            server.run(sockets=[listener])
    _note("stopped; the sessions are saved")
    return signals.exit_code() or EXIT_DONE


def _token(job: StudioOptions) -> str:
    """The secret, fit for an address and a cookie.

    Raises:
        UsageError: it is too short, has other signs, or is missing where others can reach the server.
    """
    if job.token is not None and not re.fullmatch(rf"[A-Za-z0-9._~-]{{{_SHORTEST_TOKEN},200}}", job.token):
        raise UsageError(
            f"--token: give {_SHORTEST_TOKEN} to 200 of letters, figures and . _ ~ -, or leave it out for a random one"
        )
    if not _is_loopback(job.host):
        if job.token is None:
            raise UsageError(
                f"--host {job.host}: others can reach this address: give a --token TEXT of {_SHORTEST_TOKEN} letters "
                "or more"
            )
        print(
            message_line(
                "warning",
                f"{job.host} can be reached from other machines, over plain HTTP: whoever has or overhears the token "
                "sees and changes all sessions",
            ),
            file=sys.stderr,
        )
    return job.token or secrets.token_urlsafe(32)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that connections can queue at.

    Raises:
        UsageError: it cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"--host {host}: no such address ({error.strerror}): give one of this machine") from error
    with listener:
        try:
            if os.name == "posix":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise UsageError(
                f"--host {host} --port {port}: cannot listen there ({reason}): choose another, or --port 0"
            ) from error
        yield listener


def _url(host: str, port: int, token: str, opened: str | None) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    query = {"token": token} | ({} if opened is None else {"open": opened})
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/?{urlencode(query)}"


def _has_screen() -> bool:
    """Whether a browser would come in a window; one in this terminal would be in the way."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _note(text: str) -> None:
    print(message_line("", text), file=sys.stderr)
