"""Many sessions at work for a long time: errors, and the memory of the server.

Starts `auralsam2 studio` with a made-up clip and works in SESSIONS sessions at once: clicks, undo, redo, runs, edge
tools, exports, and closing and opening again. Prints the resident memory of the server after every minute, and fails on
an error or where the memory at the end exceeds that after five minutes (or half of the time, if it is shorter) by more
than 10 %.

    python benchmarks/studio_soak.py --sessions 8 --minutes 60
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from websockets.sync.client import ClientConnection

from studio_server import Server, ask, serve, write_clip

TOLERANCE = 1.1
KINDS = ("masks", "davis", "coco", "overlay", "session")


def memory(process: int) -> float:
    """Resident memory of a process in MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def wait(line: ClientConnection, what: str) -> None:
    """Wait for the end of a job."""
    while True:
        message = line.recv(timeout=600)
        if isinstance(message, str) and (news := json.loads(message)).get("what") == what:
            assert not news.get("error"), news
            if news["is"] in ("done", "cancelled"):
                return


def preview(server: Server, session: str, number: int, tick: int, rng: random.Random) -> None:
    """Request a post-processed mask."""
    query = f"smooth={rng.choice((1, 3, 5))}&grow={rng.uniform(-5, 5):.1f}&min_area=50&feather={rng.choice((0, 2))}"
    address = f"{server.base}/api/sessions/{session}/edges/{number}/{tick}.bin?{query}"
    urllib.request.urlopen(urllib.request.Request(address, headers=server.headers), timeout=600).close()


def visit(server: Server, session: str, rng: random.Random) -> None:
    """Open a page of a session, give some commands, and close it."""
    with server.line(session) as line:
        for number in range(rng.randint(5, 25)):
            prompt = {"object": rng.randint(1, 3), "tick": rng.randrange(15)}
            point = [rng.uniform(300, 600), rng.uniform(220, 500), rng.randint(0, 1)]
            match rng.randrange(10):
                case 0:
                    ask(line, number, do="box", box=[320, 220, 560, 480], **prompt)
                    ask(line, number, do="undo")
                    ask(line, number, do="redo")
                case 1:
                    ask(line, number, do="points", points=[point], **prompt)
                    ask(line, number, do="run", first=prompt["tick"], last=min(14, prompt["tick"] + 3))
                    wait(line, "run")
                case 2:
                    ask(line, number, do="points", points=[point], **prompt)
                    ask(line, number, do="style", object=prompt["object"], name=f"object {rng.randrange(99)}")
                    ask(line, number, do="remove", object=prompt["object"])
                case 3:
                    ask(line, number, do="points", points=[point], **prompt)
                    preview(server, session, prompt["object"], prompt["tick"], rng)
                case 4:
                    ask(line, number, do="sliders", smooth=rng.choice((1, 3)), grow=rng.uniform(-3, 3), feather=1.5)
                case _:
                    ask(line, number, do="points", points=[point], **prompt)
        ask(line, 100, do="points", object=1, tick=0, points=[[440, 360, 1]])
        kind = rng.choice(KINDS)
        body = json.dumps({"kind": kind}).encode()
        headers = server.headers | {"Content-Type": "application/json"}
        urllib.request.urlopen(
            urllib.request.Request(f"{server.base}/api/sessions/{session}/export", body, headers), timeout=600
        ).close()
        wait(line, "export")


def work(server: Server, session: str, seed: int, end: float, errors: list[str], visits: list[int]) -> None:
    """Visit a session until the end."""
    rng = random.Random(seed)
    while time.monotonic() < end and not errors:
        try:
            visit(server, session, rng)
        except (AssertionError, OSError, EOFError, urllib.error.HTTPError) as error:
            errors.append(f"session {seed}: {type(error).__name__} {error}")
        visits[seed] += 1


def main() -> None:
    """Work, watch and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        write_clip(clip)
        with serve(f"{folder}/home", options.model, "--sessions", str(options.sessions)) as server:
            check(server, clip, options.sessions, options.minutes)


def check(server: Server, clip: Path, sessions: int, minutes: float) -> None:
    """Work in the sessions of a server and check its memory."""
    names = []
    for _ in range(sessions):
        request = urllib.request.Request(
            f"{server.base}/api/upload?name=clip.mp4&fps=5", clip.read_bytes(), server.headers, method="PUT"
        )
        with urllib.request.urlopen(request, timeout=600) as answer:
            names.append(json.load(answer)["id"])
    errors: list[str] = []
    visits = [0] * sessions
    begin = time.monotonic()
    end, mark = begin + 60 * minutes, min(300.0, 30 * minutes)
    arguments = [(server, name, seed, end, errors, visits) for seed, name in enumerate(names)]
    threads = [threading.Thread(target=work, args=values) for values in arguments]
    for thread in threads:
        thread.start()
    early = 0.0
    while (now := time.monotonic()) < end and not errors:
        if not early and now - begin >= mark:
            early = memory(server.process)
        print(f"{(now - begin) / 60:5.1f} min  {memory(server.process):7.0f} MB  {sum(visits)} visits", flush=True)
        time.sleep(min(60.0, max(0.1, end - now), mark))
    for thread in threads:
        thread.join()
    late = memory(server.process)
    print(f"{sum(visits)} visits, {len(errors)} errors; {early:.0f} MB after {mark / 60:.1f} min, {late:.0f} MB at end")
    if errors:
        sys.exit("\n".join(errors))
    if late > TOLERANCE * early:
        sys.exit(f"the memory grew by more than {TOLERANCE - 1:.0%}")


if __name__ == "__main__":
    main()
