"""Pages of a studio that runs in this process: what they do, and what they see."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from auralsam2.studio import mask_codec
from auralsam2.studio.command_log import CommandLog

TOKEN = "a-token-for-the-tests-of-the-studio"
HOST = "127.0.0.1:7860"
SECONDS, FPS = 3, 2
TICKS = SECONDS * FPS


class Page:
    """What a page of a session does and sees."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._number = 0
        self.masks: list[tuple[mask_codec.MaskHeader, Any]] = []
        self.news: list[dict[str, Any]] = []
        self.state: dict[str, Any] = {}

    def take(self) -> dict[str, Any]:
        """The next message in words; masks before it are kept."""
        while (message := self._receive()) is None:
            pass
        return message

    def until_mask(self) -> None:
        """Wait for a mask."""
        count = len(self.masks)
        while len(self.masks) == count:
            self._receive()

    def _receive(self) -> dict[str, Any] | None:
        """The next message in words; None for a mask."""
        message = self._socket.receive()
        if message["type"] == "websocket.close":
            raise ConnectionError(message["code"])
        if message.get("bytes") is not None:
            self.masks.append(mask_codec.unpack_mask(message["bytes"]))
            return None
        news = json.loads(message["text"])
        if news.get("is") == "state":
            self.state = news
        self.news.append(news)
        return news

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
        assert self.ask("run")["ok"]
        self.until("done", "run")
        self.until("state")


class Gate:
    """The lock around the network, which a test can let somebody through a given number of times."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._left: int | None = None

    def let_through(self, turns: int | None) -> None:
        """So many turns more; None for any number."""
        with self._changed:
            self._left = turns
            self._changed.notify_all()

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._left is None or self._left > 0)
            if self._left is not None:
                self._left -= 1
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class Studio:
    """A running studio and a browser that is let in."""

    def __init__(self, client: TestClient, home: Path) -> None:
        self.client, self.home = client, home
        self.manager = client.app.state.manager  # type: ignore[attr-defined]
        self.gate = Gate()
        self.manager._shared = dataclasses.replace(self.manager._shared, lock=self.gate)

    def upload(self, clip: Path, name: str = "clip.mp4", fps: float | None = FPS) -> str:
        query = {"name": name} | ({} if fps is None else {"fps": fps})
        answer = self.client.put("/api/upload", params=query, content=clip.read_bytes())
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    def page(self, session: str) -> Any:
        """A page that watches a session; a context manager of what `Page` takes."""
        address = f"ws://{HOST}/api/sessions/{session}/live"
        return self.client.websocket_connect(address, headers={"origin": f"http://{HOST}"})

    def get(self, session: str) -> dict[str, Any]:
        return self.client.get(f"/api/sessions/{session}").json()

    def export(self, page: Page, session: str, kind: str, **sliders: float) -> bytes:
        answer = self.client.post(f"/api/sessions/{session}/export", json={"kind": kind} | sliders)
        assert answer.status_code == 200, answer.text
        assert page.until("done", "export")["kind"] == kind
        return self.client.get(f"/api/sessions/{session}/export/{kind}").content

    def log(self, session: str) -> list[dict[str, Any]]:
        """The commands in force, as they are stored."""
        log = CommandLog(self.home / "sessions" / session / "log.jsonl", TICKS)
        return [entry.model_dump() for entry in log.entries]

    def folders(self) -> list[str]:
        return sorted(path.name for path in (self.home / "sessions").iterdir())


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Until something has come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)
