"""A studio in this process, with a small model and a clip of three seconds."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from auralsam2.apps.studio import payload
from auralsam2.apps.studio.server import create_app
from auralsam2.apps.studio.settings import Limits, Settings
from auralsam2.apps.studio.store import Store
from auralsam2.model import AuralSAM2
from media_files import write_clip

TOKEN = "a-token-for-the-tests-of-the-studio"
SECONDS, FPS = 3, 2
TICKS = SECONDS * FPS


@pytest.fixture(scope="session")
def model(small_model: Path) -> AuralSAM2:
    return AuralSAM2.from_pretrained(small_model)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", SECONDS)


class Page:
    """What a page of a session does and sees."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._number = 0
        self.masks: list[tuple[payload.Header, Any]] = []
        self.news: list[dict[str, Any]] = []
        self.state: dict[str, Any] = {}

    def take(self) -> dict[str, Any]:
        """The next message in words; masks on the way are kept."""
        while True:
            message = self._socket.receive()
            if message["type"] == "websocket.close":
                raise ConnectionError(message["code"])
            if message.get("bytes") is not None:
                self.masks.append(payload.unpack(message["bytes"]))
                continue
            told = json.loads(message["text"])
            if told.get("is") == "state":
                self.state = told
            self.news.append(told)
            return told

    def send(self, do: str, **more: Any) -> int:
        self._number += 1
        self._socket.send_text(json.dumps({"n": self._number, "do": do} | more))
        return self._number

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        number = self.send(do, **more)
        while (told := self.take()).get("re") != number:
            pass
        return told

    def until(self, what: str, of: str | None = None) -> dict[str, Any]:
        """Wait for a piece of news."""
        while (told := self.take()).get("is") != what or (of is not None and told.get("what") != of):
            pass
        return told

    def listen(self) -> None:
        """What "Listen" does, to its end."""
        assert self.ask("hear", object=0, on=True)["ok"]
        assert self.ask("run", **{"from": None}, both=True)["ok"]
        self.until("done", "run")
        self.until("state")


class Studio:
    """A running studio and a browser that is let in."""

    def __init__(self, client: TestClient, home: Path) -> None:
        self.client, self.home = client, home
        self.registry = client.app.state.registry  # type: ignore[attr-defined]

    def upload(self, clip: Path, name: str = "clip.mp4", fps: float | None = FPS) -> str:
        query = {"name": name} | ({} if fps is None else {"fps": fps})
        answer = self.client.put("/api/upload", params=query, content=clip.read_bytes())
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    def page(self, session: str) -> Any:
        """A page that watches a session; a context manager of what `Page` takes."""
        address = f"/api/sessions/{session}/live"
        return self.client.websocket_connect(address, headers={"origin": str(self.client.base_url)})

    def get(self, session: str) -> dict[str, Any]:
        return self.client.get(f"/api/sessions/{session}").json()

    def export(self, page: Page, session: str, kind: str, **sliders: float) -> bytes:
        answer = self.client.post(f"/api/sessions/{session}/export", json={"kind": kind} | sliders)
        assert answer.status_code == 200, answer.text
        assert page.until("done", "export")["kind"] == kind
        return self.client.get(f"/api/sessions/{session}/export/{kind}").content

    def folders(self) -> list[str]:
        return sorted(path.name for path in (self.home / "sessions").iterdir())


@pytest.fixture
def start_studio(model: AuralSAM2, tmp_path: Path) -> Iterator[Callable[..., Studio]]:
    """Starts a studio; what is given are limits, or `home`."""
    with ExitStack() as stack:

        def start(home: Path | None = None, **limits: Any) -> Studio:
            web = tmp_path / "web"
            web.mkdir(exist_ok=True)
            (web / "index.html").write_text("<!doctype html><title>Studio</title>")
            (web / "secret.txt").write_text("not for the page")
            home = home or tmp_path / "home"
            bounds = dataclasses.replace(Limits(memory=1 << 28, disk=1 << 28), **limits)
            settings = Settings(token=TOKEN, home=home, web=web, limits=bounds)
            store = stack.enter_context(Store(home))
            client = TestClient(
                create_app(settings, model, store), base_url="http://127.0.0.1:7860", headers={"x-token": TOKEN}
            )
            return Studio(stack.enter_context(client), home)

        yield start


@pytest.fixture
def studio(start_studio: Callable[..., Studio]) -> Studio:
    return start_studio()


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Until something has come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)
