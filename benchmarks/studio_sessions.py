"""How fast the Studio lists many sessions, opens a long one again, and answers clicks in it.

Starts `auralsam2 studio` in a process of its own on a made-up clip, clicks STEPS times on 15 frames of 4 objects,
starts the server again, and measures the first click. Then it copies the session to SESSIONS folders and measures the
list.

    python benchmarks/studio_sessions.py --steps 1000 --sessions 200
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import statistics
import tempfile
from pathlib import Path

from websockets.sync.client import ClientConnection

from studio_server import ask, serve, write_clip

FRAMES, OBJECTS = 15, 4


def click(line: ClientConnection, step: int) -> float:
    """Seconds of one click, each on another frame, object and place than the one before."""
    tick, number = step % FRAMES, 1 + step // FRAMES % OBJECTS
    point = [300 + 37 * step % 400, 200 + 53 * step % 320, int(step % 3 > 0)]
    return ask(line, step, do="points", object=number, tick=tick, points=[point])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--steps", type=int, default=1000)
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
            f"{options.steps} clicks, 1280x720, {options.model}: median {first:.0f} ms early, {last:.0f} ms at the end",
            flush=True,
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
