"""Latency and memory of `auralsam2 live` on a pipe that is as fast as real time.

Starts `auralsam2 live -` and feeds it a video, again and again, each packet at its time. Prints for each minute the
frames, the dropped frames, the latencies and the resident memory of the process. Fails where the memory at the end
exceeds that after the first fifth of the time by more than 10 %.

    python benchmarks/live.py [VIDEO] [--minutes 10] [--model mini] [--fps 1] [--latency 2]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

import av

from auralsam2.bench.material import describe_machine
from auralsam2.samples import demo_clip

TOLERANCE = 1.1


def feed(pipe: IO[bytes], video: Path, seconds: float) -> None:
    """Write a video to a pipe again and again, as Matroska, at the speed at which it plays."""
    began = time.monotonic()
    with pipe, av.open(pipe, "w", format="matroska", options={"flush_packets": "1"}) as output:
        streams = {}
        offset = 0.0
        while offset < seconds:
            first = last = 0.0
            with av.open(str(video)) as source:
                if not streams:
                    streams = {
                        stream.index: output.add_stream_from_template(stream)
                        for stream in (source.streams.video[0], source.streams.audio[0])
                    }
                for packet in source.demux(source.streams.video[0], source.streams.audio[0]):
                    if packet.dts is None or packet.time_base is None:
                        continue
                    first = min(first, float(packet.dts * packet.time_base))
                    last = max(last, float((packet.dts + (packet.duration or 0)) * packet.time_base))
                    shift = round(offset / packet.time_base)
                    packet.dts += shift
                    packet.pts = packet.dts if packet.pts is None else packet.pts + shift
                    time.sleep(max(0.0, began + float(packet.dts * packet.time_base) - time.monotonic()))
                    packet.stream = streams[packet.stream_index]
                    output.mux(packet)
            offset += last - first  # decoding begins before the first picture


def memory(process: int) -> float:
    """Return the resident memory of a process in MB."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096 / 1e6


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Latency and memory of auralsam2 live.")
    parser.add_argument("video", type=Path, nargs="?", default=demo_clip())
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--fps", default="1")
    parser.add_argument("--latency", metavar="S", help="seconds between windows; default: the clip window")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        command = ["-m", "auralsam2", "live", "-", "--model", arguments.model, "--fps", arguments.fps, "--json", "-q"]
        command += ["--out", out] + ([] if arguments.latency is None else ["--latency", arguments.latency])
        child = subprocess.Popen([sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdin is not None
        assert child.stdout is not None
        threading.Thread(target=feed, args=(child.stdin, arguments.video, 60 * arguments.minutes), daemon=True).start()
        machine = describe_machine("cpu")
        print(f"{arguments.model} at {arguments.fps} frames a second, {machine['cpu']}, {machine['threads']} threads")
        print("minute  frames  dropped  latency: median  largest (s)  memory (MB)")
        latencies: list[float] = []
        sizes: list[float] = []
        first = dropped = 0
        row: dict = {"dropped": 0}

        def report() -> None:
            recent = latencies[first:]
            print(
                f"{len(sizes):6}  {len(recent):6}  {row['dropped'] - dropped:7}  {statistics.median(recent):15.2f}  "
                f"{max(recent):11.2f}  {sizes[-1]:11.0f}",
                flush=True,
            )

        for line in child.stdout:
            row = json.loads(line)
            latencies.append(row["latency"])
            if row["slot"][1] >= 60 * (len(sizes) + 1):
                sizes.append(memory(child.pid))
                report()
                first, dropped = len(latencies), row["dropped"]
        if child.wait() != 0:
            sys.exit(f"auralsam2 live ended with exit code {child.returncode}")
    print(
        f"all: {len(latencies)} frames, {row['dropped']} dropped, median latency {statistics.median(latencies):.2f} s, "
        f"largest {max(latencies):.2f} s"
    )
    if sizes and sizes[-1] > TOLERANCE * sizes[len(sizes) // 5]:
        sys.exit(f"memory grew from {sizes[len(sizes) // 5]:.0f} to {sizes[-1]:.0f} MB")


if __name__ == "__main__":
    main()
