"""A Studio server for the benchmarks: its clip, its process, and its pages."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import av
import numpy as np
from websockets.sync.client import ClientConnection, connect

WIDTH, HEIGHT, FPS, SECONDS = 1280, 720, 10, 3


def write_clip(path: Path) -> None:
    """Write a bright disc that moves over a grey background."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(FPS * SECONDS):
            image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            image[(x - 400 - 8 * number) ** 2 + (y - 360) ** 2 < 150**2] = (230, 180, 40)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode(None))


class Server:
    """A running server.

    Args:
        url: the address that it printed.
        process: id of its process.
    """

    def __init__(self, url: str, process: int) -> None:
        self.process = process
        parts = urlsplit(url)
        self.base, self.query = f"http://{parts.netloc}", parse_qs(parts.fragment)
        self.headers = {"X-Token": self.query["token"][0]}

    def get(self, path: str) -> tuple[float, object]:
        """Seconds of a request, and its answer."""
        began = time.perf_counter()
        request = urllib.request.Request(self.base + path, headers=self.headers)
        with urllib.request.urlopen(request, timeout=300) as answer:
            data = answer.read()
        return time.perf_counter() - began, json.loads(data)

    def line(self, session: str) -> ClientConnection:
        """A page of a session."""
        address = f"{self.base.replace('http', 'ws', 1)}/api/sessions/{session}/live"
        return connect(address, origin=self.base, additional_headers=self.headers, proxy=None)  # type: ignore[arg-type]


@contextmanager
def serve(home: str, model: str, *arguments: str) -> Iterator[Server]:
    """Start a server and end it."""
    command = [sys.executable, "-m", "auralsam2", "studio", "--model", model, "--port", "0", "--no-open"]
    with subprocess.Popen([*command, "--home", home, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(process.stdout.readline().strip(), process.pid)
        finally:
            process.terminate()


def ask(line: ClientConnection, number: int, **message: object) -> float:
    """Seconds until a command is answered."""
    began = time.perf_counter()
    line.send(json.dumps({"n": number} | message))
    while True:
        answer = line.recv(timeout=600)
        if isinstance(answer, str) and (values := json.loads(answer)).get("re") == number:
            assert values.get("ok"), values
            return time.perf_counter() - began
