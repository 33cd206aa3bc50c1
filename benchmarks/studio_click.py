"""Measure the time of a click in the Studio, from sending it over the WebSocket to the arrival of the mask.

The script starts `auralsam2 studio` in another process on a generated 720p clip. The time covers everything but the
painting in the browser. A first click, which is not counted, encodes the frame. With `--during-run`, another object is
propagated through the clip all the time.

    python benchmarks/studio_click.py --clicks 30 --threads 2
    python benchmarks/studio_click.py --clicks 30 --threads 2 --during-run
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from websockets.sync.client import ClientConnection

from studio_server import HEIGHT, WIDTH, serve, write_clip

OBJECT, OTHER = 1, 2
RUN = json.dumps({"do": "run", "objects": [OTHER]})


def click(line: ClientConnection, number: int, x: float, y: float, label: int) -> tuple[float, float]:
    """Return the seconds until the mask, and until the response that the click is saved.

    A propagation that ends meanwhile is started again.
    """
    began = time.perf_counter()
    line.send(json.dumps({"n": number, "do": "points", "object": OBJECT, "tick": 2, "points": [[x, y, label]]}))
    mask = 0.0
    while True:
        message = line.recv(timeout=300)
        if isinstance(message, bytes):
            if not mask and int.from_bytes(message[4:8], "little") == OBJECT:
                mask = time.perf_counter() - began
        elif json.loads(message).get("what") == "run" and json.loads(message)["is"] == "done":
            line.send(RUN)
        elif (response := json.loads(message)).get("re") == number:
            assert response.get("ok"), response
            return mask, time.perf_counter() - began


def measure(model: str, clicks: int, threads: int, *, during_run: bool = False) -> list[tuple[float, float]]:
    """Return the seconds of each click after the first."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        write_clip(clip)
        with serve(f"{folder}/home", model, str(clip), "--threads", str(threads)) as server:
            server.get("/api/state")
            with server.line(server.query["open"][0]) as line:
                click(line, 0, 440, 360, 1)
                if during_run:
                    line.send(json.dumps({"do": "box", "object": OTHER, "tick": 0, "box": [240, 200, 560, 520]}))
                    line.send(RUN)
                points = rng.uniform((300, 220), (600, 500), (clicks, 2))
                return [
                    click(line, number, x, y, int(rng.integers(2))) for number, (x, y) in enumerate(points.tolist(), 1)
                ]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--clicks", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--during-run", action="store_true", help="propagate another object all the time")
    options = parser.parse_args()
    times = measure(options.model, options.clicks, options.threads, during_run=options.during_run)
    masks, answers = ([1000 * value for value in column] for column in zip(*times, strict=True))
    quarters = statistics.quantiles(masks, n=4)
    clicks = f"{len(times)} clicks{' during a run' * options.during_run}"
    print(f"click to mask, {WIDTH}x{HEIGHT}, {options.model}, {options.threads} threads, {clicks}:")
    print(f"  median {statistics.median(masks):.0f} ms, quartiles {quarters[0]:.0f} and {quarters[2]:.0f}, ", end="")
    print(f"longest {max(masks):.0f}; until all is saved: median {statistics.median(answers):.0f} ms")


if __name__ == "__main__":
    main()
