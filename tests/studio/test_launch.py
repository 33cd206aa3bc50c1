"""`auralsam2 studio`: refused options, output, and a killed server."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import uvicorn
from websockets.sync.client import connect

from auralsam2.cli import options
from auralsam2.errors import EXIT_UNAVAILABLE, EXIT_UNUSABLE, UsageError


@pytest.fixture
def studio_command(command: Callable[..., Any], small_model: Path, tmp_path: Path) -> Callable[..., Any]:
    def run(*arguments: object) -> Any:
        return command("studio", "--model", small_model, "--home", tmp_path / "home", "--no-open", *arguments)

    return run


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "example.org"])
def test_other_machines_need_a_token(studio_command: Callable[..., Any], host: str) -> None:
    outcome = studio_command("--host", host)
    assert outcome.code == EXIT_UNUSABLE
    assert "--token" in outcome.error


def test_server_for_other_machines_warns(studio_command: Callable[..., Any]) -> None:
    """A video that is not there ends it before anybody can come."""
    outcome = studio_command("missing.mp4", "--host", "0.0.0.0", "--token", "0123456789abcdef")
    assert "no such file" in outcome.error
    assert "warning: 0.0.0.0 can be reached from other machines" in outcome.err


@pytest.mark.parametrize("token", ["short", "0123456789abcde", "with blanks in it it is long", "0123456789abcdef;x"])
def test_invalid_tokens_are_refused(studio_command: Callable[..., Any], token: str) -> None:
    outcome = studio_command("--token", token)
    assert outcome.code == EXIT_UNUSABLE
    assert "16" in outcome.error


def test_port_in_use_is_reported(studio_command: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        outcome = studio_command("--port", occupied.getsockname()[1])
    assert outcome.code == EXIT_UNUSABLE
    assert "--port 0" in outcome.error


def test_missing_extra_names_the_command(studio_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    outcome = studio_command()
    assert outcome.code == EXIT_UNAVAILABLE
    assert "pip install 'auralsam2[studio]'" in outcome.error


def test_missing_video_is_reported(studio_command: Callable[..., Any]) -> None:
    assert "no such file" in studio_command("missing.mp4").error


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model of a method that takes whole clips alone."""
    from auralsam2.baselines.network import AdapterNetwork
    from auralsam2.config import ClipConfig, GavsConfig
    from auralsam2.model import AuralSAM2
    from helpers.small_networks import small_config, small_sam2

    folder = tmp_path_factory.mktemp("models")
    sam2 = small_sam2(64, width=128)
    sam2.save_pretrained(folder / "sam2")
    clip = ClipConfig(frames=3, conditioning="each")
    config = dataclasses.replace(small_config(width=128), method="gavs", gavs=GavsConfig(start_block=2), clip=clip)
    return AuralSAM2(AdapterNetwork(config, sam2), "small-gavs").save_pretrained(folder)


def test_baseline_model_is_refused_at_start(
    studio_command: Callable[..., Any], baseline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: pytest.fail("it serves"))
    outcome = studio_command("--model", baseline, "--port", 0)
    assert outcome.code == EXIT_UNUSABLE
    assert "is the baseline gavs, which takes whole clips" in outcome.error
    assert "http://" not in outcome.out


def test_home_is_locked_by_one_server(studio_command: Callable[..., Any], tmp_path: Path) -> None:
    from auralsam2.studio.storage import SessionStore

    with SessionStore(tmp_path / "home"):
        assert "another studio" in studio_command("--port", 0).error


@pytest.mark.parametrize(
    ("text", "bytes_"), [("500MB", 500_000_000), ("2GB", 2_000_000_000), ("1.5 kB", 1500), ("7", 7), ("3M", 3_000_000)]
)
def test_sizes(text: str, bytes_: int) -> None:
    assert options.parse_size("--max-upload", text) == bytes_


@pytest.mark.parametrize("text", ["", "0", "-1MB", "2 giga", "1e9", "MB"])
def test_invalid_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="500MB"):
        options.parse_size("--max-upload", text)


class Server:
    """`auralsam2 studio` in a process of its own."""

    def __init__(self, process: Any) -> None:
        self.process = process
        self.url = process.stdout.readline().strip()
        self.address, _, query = self.url.partition("/#")
        self.token = dict(part.split("=", 1) for part in query.split("&"))["token"]

    def get(self, path: str) -> bytes:
        request = urllib.request.Request(f"{self.address}{path}", headers={"X-Token": self.token})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def line(self, session: str) -> Any:
        address = f"{self.address.replace('http', 'ws', 1)}/api/sessions/{session}/live"
        headers: dict[str, Any] = {"X-Token": self.token}
        return connect(address, origin=self.address, additional_headers=headers, proxy=None)  # type: ignore[arg-type]


def ask(line: Any, number: int, do: str, **more: Any) -> None:
    line.send(json.dumps({"n": number, "do": do} | more))
    while True:
        message = line.recv(timeout=60)
        if isinstance(message, str) and (report := json.loads(message)).get("re") == number:
            assert report.get("ok"), report
            return


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_sessions_survive_a_killed_server(
    fork: Callable[..., Any], small_model: Path, clip: Path, tmp_path: Path
) -> None:
    def serve(*more: object) -> Server:
        arguments = ("--model", small_model, "--home", tmp_path / "home", "--port", 0, "--no-open")
        return Server(fork("-m", "auralsam2", "studio", *arguments, *more))

    server = serve(clip)
    (listed,) = json.loads(server.get("/api/sessions"))
    session = listed["id"]
    assert server.url.endswith(f"&open={session}")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{server.address}/api/state", timeout=60)
    with server.line(session) as line:
        ask(line, 1, "points", object=2, tick=1, points=[[20, 12, 1]])
        ask(line, 2, "style", object=2, name="dog")
        ask(line, 3, "hear", object=0, on=True)
        ask(line, 4, "run")
        masks = 0
        while masks < 2:  # in the midst of the run
            masks += isinstance(line.recv(timeout=60), bytes)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(timeout=60)

    again = serve()
    assert again.token != server.token
    state = json.loads(again.get(f"/api/sessions/{session}"))
    assert [(outcome["number"], outcome["name"], outcome["hears"]) for outcome in state["objects"]] == [
        (0, "What sounds", True),
        (2, "dog", False),
    ]
    assert sum(outcome["done"] for outcome in state["objects"]) >= 2
    assert [row["points"] for row in state["prompts"]] == [[[20, 12, 1]]]
    assert again.get(f"/api/sessions/{session}/mask/2/1.bin")[:4] == b"AUM1"
    with again.line(session) as line:
        ask(line, 1, "undo")
        ask(line, 2, "look", object=2, tick=3)
    again.process.send_signal(signal.SIGINT)
    assert again.process.wait(timeout=60) == 0
    assert "the sessions are saved" in again.process.stderr.read()


def test_token_comes_from_a_file_or_the_environment(
    studio_command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "cannot be read" in studio_command("--token-file", tmp_path / "missing").error
    file = tmp_path / "token"
    file.write_text("short\n")
    assert "16" in studio_command("--token-file", file).error
    file.write_text("a-token-from-a-file\n")
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: None)
    assert "#token=a-token-from-a-file\n" in studio_command("--port", 0, "--token-file", file).out
    monkeypatch.setenv("AURALSAM2_STUDIO_TOKEN", "a-token-of-the-environment")
    assert "#token=a-token-of-the-environment\n" in studio_command("--port", 0).out


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_browser_gets_a_private_file_in_place_of_the_token(
    studio_command: Callable[..., Any], small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, int, str]] = []

    def open_page(address: str) -> None:
        path = Path(unquote(urlsplit(address).path))
        opened.append((address, path.stat().st_mode & 0o777, path.read_text()))

    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: None)
    monkeypatch.setattr("webbrowser.open", open_page)
    monkeypatch.setenv("DISPLAY", ":0")
    outcome = studio_command("--port", 0, "--open")
    ((address, mode, page),) = opened
    url = outcome.out.strip()
    token = url.partition("token=")[2]
    assert address.startswith("file:")
    assert token not in address
    assert mode == 0o600
    assert f"url={url}" in page
    assert not list((tmp_path / "home").glob("*.html"))


def test_slow_headers_end_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    from auralsam2.studio import http_protocol

    monkeypatch.setattr(http_protocol, "HEADER_TIMEOUT", 0.3)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    config = uvicorn.Config(app, http=http_protocol.TimedProtocol, lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            port = listener.getsockname()[1]
            for sent in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /"):
                with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                    client.sendall(sent)
                    received = b""
                    while part := client.recv(4096):
                        received += part
                    assert received.endswith(b"ok") == sent.endswith(b"GET /")
        finally:
            server.should_exit = True
            thread.join()
