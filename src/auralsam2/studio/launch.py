"""Start the Studio: check its options, load the model, listen and serve."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
import secrets
import socket
import sys
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from auralsam2.errors import EXIT_DONE, InputError, UnavailableError, UsageError, message_line
from auralsam2.hub import download
from auralsam2.studio.settings import Limits, Settings, default_home
from auralsam2.utils import signals

if TYPE_CHECKING:
    from auralsam2.model import AuralSAM2
    from auralsam2.studio.storage import SessionStore
    from auralsam2.utils.devices import Backend

_NEEDED = ("fastapi", "uvicorn", "websockets")
_MIN_TOKEN = 16
_MAX_MESSAGE = 8 << 20
"""Maximum size of a message from a page, which may contain a painted mask, in bytes."""
_MAX_CONNECTIONS = 256
"""Maximum number of open connections and running requests; more are refused with 503."""
_GRACE = 5
"""Seconds until open connections are closed when the server stops."""


def run_studio(
    *,
    video: Path | None,
    model: str,
    host: str,
    port: int,
    token: str | None,
    token_file: Path | None,
    home: Path | None,
    max_upload: int,
    max_minutes: float,
    sessions: int,
    open_page: bool,
    device: str,
    dtype: str,
    backend: Backend,
    image_size: int | None,
    threads: int | None,
) -> int:
    """Serve the Studio until it is interrupted.

    Args:
        video: video to open, or None.
        model: name, folder or hub id.
        host: address to listen on.
        port: port to listen on; 0 for any free port.
        token: secret of the address; None for that of the file, or a random one.
        token_file: file with the secret, or None.
        home: folder of the sessions; None for the default in the user's data folder.
        max_upload: maximum file size of a video, in bytes.
        max_minutes: maximum length of a video, in minutes.
        sessions: maximum number of open sessions.
        open_page: whether to open the page in the browser.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        dtype: `auto`, `fp32`, `bf16` or `fp16`.
        backend: `torch` or `openvino`.
        image_size: side of the network's input in pixels; None for the model's own.
        threads: number of CPU threads; None for the default of torch.

    Returns:
        the exit code: 0 after Ctrl-C, 128 + the signal's number after another signal.

    Raises:
        UnavailableError: the extra is not installed, or the model cannot be fetched.
        UsageError: options contradict each other, the port is taken, or the model takes whole clips only.
        InputError: the video cannot be used.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UnavailableError(f"the studio needs {', '.join(missing)}: pip install 'auralsam2[studio]'")
    token = _token(_read_token(token_file) if token is None and token_file is not None else token, host)
    if video is not None and not video.is_file():
        raise InputError(f"{video}: no such file")
    download.check_available(model)
    with _listener(host, port) as listener:
        import torch

        from auralsam2.model import AuralSAM2, streaming_network
        from auralsam2.studio.storage import SessionStore

        if threads is not None:
            torch.set_num_threads(threads)
        limits = Limits(upload=max_upload, minutes=max_minutes, sessions=sessions)
        settings = Settings(token=token, home=home or default_home(), host=host, limits=limits)
        with SessionStore(settings.home) as store:
            _note(f"loading model {model}")
            load = partial(
                AuralSAM2.from_pretrained, device=device, dtype=dtype, backend=backend, image_size=image_size
            )
            loaded = load(model)
            streaming_network(loaded)  # raises for a baseline
            another = partial(load, local_files_only=True)
            _serve(settings, loaded, another, store, listener, video=video, open_page=open_page)
    _note("stopped; the sessions are saved")
    return signals.exit_code() or EXIT_DONE


def _serve(
    settings: Settings,
    model: AuralSAM2,
    load: Callable[[str], AuralSAM2],
    store: SessionStore,
    listener: socket.socket,
    *,
    video: Path | None,
    open_page: bool,
) -> None:
    """Print the address of the page and serve it until a signal arrives."""
    import uvicorn

    from auralsam2.studio.http_protocol import TimedProtocol
    from auralsam2.studio.routes import create_app, import_demo
    from auralsam2.studio.uploads import safe_name

    session = None
    if video is not None:
        _note(f"reading {video}")
        session = import_demo(store, video, safe_name(video.name), None, settings.limits, model.name).id
    url = _url(settings.host, listener.getsockname()[1], settings.token, session)
    config = uvicorn.Config(
        create_app(settings, model, store, load),
        log_level="warning",
        access_log=False,
        server_header=False,
        ws_max_size=_MAX_MESSAGE,
        # Masks are compressed already.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=_GRACE,
        http=TimedProtocol,
        limit_concurrency=_MAX_CONNECTIONS,
    )
    # From here on, connections wait until the server accepts them.
    print(url, flush=True)
    server = uvicorn.Server(config)

    def stop() -> None:
        server.should_exit = True

    with ExitStack() as stack:
        if open_page and _has_screen():
            webbrowser.open(stack.enter_context(redirect_file(settings.home, url)).as_uri())
        # Uvicorn handles SIGINT and SIGTERM itself, and raises them again after it has closed all connections.
        with signals.hang_up_calls(stop):
            try:
                server.run(sockets=[listener])
            except KeyboardInterrupt:
                signals.end_command()


@contextmanager
def redirect_file(folder: Path, url: str) -> Iterator[Path]:
    """Write a page that leads to an address, readable by the user alone; it is deleted on exit.

    The browser is started with the name of the file, since other users see the arguments of a process.
    """
    path = folder / f"open-{os.getpid()}.html"
    path.unlink(missing_ok=True)
    page = f'<!doctype html><title>AuralSAM2 Studio</title><meta http-equiv="refresh" content="0; url={escape(url)}">'
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(page)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _read_token(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a file with a token: choose another `token_file`") from error


def _token(token: str | None, host: str) -> str:
    """Return the secret, which must be valid in an address and a cookie.

    Raises:
        UsageError: the token is too short, has other characters, or is missing where other machines reach the server.
    """
    if token is not None and not re.fullmatch(rf"[A-Za-z0-9._~-]{{{_MIN_TOKEN},200}}", token):
        raise UsageError(
            f"the token: give {_MIN_TOKEN} to 200 of letters, digits and . _ ~ -, or leave it out for a random one"
        )
    if not _is_loopback(host):
        if token is None:
            raise UsageError(
                f"--host {host}: other machines can reach this address: give a --token-file FILE with "
                f"{_MIN_TOKEN} characters or more"
            )
        print(
            message_line(
                "warning",
                f"{host} can be reached from other machines, over plain HTTP: anyone who has the token or intercepts "
                "it sees and changes all sessions",
            ),
            file=sys.stderr,
        )
    return token or secrets.token_urlsafe(32)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _listener(host: str, port: int) -> Iterator[socket.socket]:
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


def _url(host: str, port: int, token: str, session: str | None) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    query = {"token": token} | ({} if session is None else {"open": session})
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/#{urlencode(query)}"


def _has_screen() -> bool:
    """Whether the browser opens in a window; a browser in this terminal would hide the output."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _note(text: str) -> None:
    print(message_line("", text), file=sys.stderr)
