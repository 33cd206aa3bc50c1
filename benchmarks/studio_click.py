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
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import av
import numpy as np
from websockets.sync.client import ClientConnection, connect

WIDTH, HEIGHT, FPS, SECONDS = 1280, 720, 10, 3
OBJECT, OTHER = 1, 2
RUN = json.dumps({"do": "run", "objects": [OTHER]})


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
        command = [sys.executable, "-m", "auralsam2", "studio", str(clip), "--model", model, "--port", "0"]
        command += ["--home", f"{folder}/home", "--no-open", "--threads", str(threads)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                url = urlsplit(server.stdout.readline().strip())
                query = parse_qs(url.fragment)
                headers = {"X-Token": query["token"][0]}
                request = urllib.request.Request(f"http://{url.netloc}/api/state", headers=headers)
                urllib.request.urlopen(request, timeout=300).close()
                address = f"ws://{url.netloc}/api/sessions/{query['open'][0]}/live"
                with connect(address, origin=f"http://{url.netloc}", additional_headers=headers, proxy=None) as line:  # type: ignore[arg-type]
                    click(line, 0, 440, 360, 1)
                    if during_run:
                        box = {"do": "box", "object": OTHER, "tick": 0, "box": [240, 200, 560, 520]}
                        line.send(json.dumps(box))
                        line.send(RUN)
                    points = rng.uniform((300, 220), (600, 500), (clicks, 2))
                    return [
                        click(line, number, x, y, int(rng.integers(2)))
                        for number, (x, y) in enumerate(points.tolist(), 1)
                    ]
            finally:
                server.terminate()


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
