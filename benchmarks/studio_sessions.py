"""How fast the Studio lists many sessions, opens a long one again, and answers clicks in it.

Starts `auralsam2 studio` in a process of its own on a made-up clip, clicks STEPS times on 15 frames of 4 objects,
starts the server again, and measures the first click. Then it copies the session to SESSIONS folders and measures the
list.

    python benchmarks/studio_sessions.py --steps 400 --sessions 200
"""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from websockets.sync.client import ClientConnection, connect

from studio_click import write_clip

FRAMES, OBJECTS = 15, 4


class Server:
    """A running server.

    Args:
        url: the address that it printed.
    """

    def __init__(self, url: str) -> None:
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
            yield Server(process.stdout.readline().strip())
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


def click(line: ClientConnection, step: int) -> float:
    """Seconds of one click, each on another frame, object and place than the one before."""
    tick, number = step % FRAMES, 1 + step // FRAMES % OBJECTS
    point = [300 + 37 * step % 400, 200 + 53 * step % 320, int(step % 3 > 0)]
    return ask(line, step, do="points", object=number, tick=tick, points=[point])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--sessions", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip, home = Path(folder) / "clip.mp4", f"{folder}/home"
        write_clip(clip)
        with serve(home, options.model, str(clip)) as server:
            session = server.query["open"][0]
            with server.line(session) as line:
                times = [click(line, step) for step in range(options.steps)]
        tenth = max(1, options.steps // 10)
        first, last = (1000 * statistics.median(part) for part in (times[tenth : 2 * tenth], times[-tenth:]))
        print(
            f"{options.steps} clicks, 1280x720, {options.model}: median {first:.0f} ms early, {last:.0f} ms at the end"
        )
        with serve(home, options.model) as server:
            opening, _ = server.get(f"/api/sessions/{session}")
            with server.line(session) as line:
                again = click(line, options.steps)
        print(f"opened again: state {1000 * opening:.0f} ms, first click {again:.2f} s")
        source = Path(home) / "sessions" / session
        for _ in range(options.sessions - 1):
            shutil.copytree(source, source.parent / secrets.token_urlsafe(16))
        with serve(home, options.model) as server:
            cold, listed = server.get("/api/sessions")
            warm, _ = server.get("/api/sessions")
        assert isinstance(listed, list)
        print(f"list of {len(listed)} sessions: {1000 * cold:.0f} ms, again {1000 * warm:.0f} ms")


if __name__ == "__main__":
    main()
