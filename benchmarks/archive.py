"""Measure `auralsam2 segment --manifest` on many short clips: overhead, speed of two processes, memory, and kills.

    python benchmarks/archive.py [--clips 500] [--kills 50] [--rows 100000] [--seconds 2]

Prints four figures, each from runs of the command with the bundled model:

- overhead of one process over the sum of the durations of its clips, without its start;
- speed of two processes in relation to one, both without their starts, and the growth of memory per clip;
- results after kills: a process of the command, or the command itself, is killed with SIGKILL at random times and run
  again until it ends; all files must equal those of an undisturbed run, apart from the member `timing`;
- time and memory for each row of a manifest of `--rows` rows, whose workers do nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from auralsam2.batch.journal import RunJournal
from auralsam2.batch.manifest import Manifest, ManifestRow, largest_first
from auralsam2.batch.worker_pool import WorkerPool
from auralsam2.bench.material import write_bench_clip

TIMING = re.compile(rb'"timing": \{[^}]*\}')


@dataclass(frozen=True, kw_only=True)
class Run:
    """Measurements of one run of the command.

    Attributes:
        seconds: from the first completed clip to the last one.
        clip_seconds: sum of the durations of these clips, without the first one of each process.
        peaks: resident memory of the command and its processes in MiB, sampled during the run.
    """

    seconds: float
    clip_seconds: float
    peaks: tuple[float, ...]


def write_manifest(folder: Path, clips: int, seconds: float) -> Path:
    """Write four clips and a manifest whose rows name them in turn."""
    for number in range(4):
        write_bench_clip(folder / f"{number}.mp4", seconds, 10 + number)
    lines = [json.dumps({"uri": f"{number % 4}.mp4", "id": f"clip{number:06d}"}) for number in range(clips)]
    manifest = folder / "clips.jsonl"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def start_command(manifest: Path, out: Path, jobs: int) -> subprocess.Popen[bytes]:
    """Start the command in a process group of its own, with one thread a process."""
    arguments = ["segment", "--manifest", manifest, "--out", out, "--jobs", str(jobs), "--threads", "1", "--quiet"]
    command = [sys.executable, "-m", "auralsam2", *map(str, arguments), "--save", "masks,json"]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)


def measure_run(manifest: Path, out: Path, jobs: int) -> Run:
    """Run the command to its end.

    Raises:
        RuntimeError: it failed.
    """
    process = start_command(manifest, out, jobs)
    times, peaks, count = [], [], 0
    records = out / "results.jsonl"
    while process.poll() is None:
        time.sleep(0.05)
        lines = records.read_bytes().count(b"\n") if records.exists() else 0
        if lines > count:
            times.append(time.monotonic())
            peaks.append(_resident(process.pid))
            count = lines
    if process.returncode != 0:
        raise RuntimeError(f"exit code {process.returncode}")
    durations = [json.loads(line)["seconds"] for line in records.read_text(encoding="utf-8").splitlines()]
    return Run(seconds=times[-1] - times[0], clip_seconds=sum(durations[jobs:]), peaks=tuple(peaks))


def count_differences(manifest: Path, folder: Path, expected: dict[str, bytes], kills: int, seed: int) -> int:
    """Kill runs at random until `kills` have been killed; returns the number of files that differ at the end of each.

    Each run is started again until it ends by itself; then its results are compared and deleted.
    """
    chance = random.Random(seed)
    differences = done = 0
    out = folder / "killed"
    while done < kills:
        process = start_command(manifest, out, 2)
        try:
            process.wait(chance.uniform(2.0, 15.0))
        except subprocess.TimeoutExpired:
            victims = [process.pid, *_children(process.pid)]
            os.kill(chance.choice(victims), signal.SIGKILL)
            done += 1
            process.wait()
        if process.returncode == 0:
            actual = read_results(out)
            differences += sum(actual.get(name) != content for name, content in expected.items())
            differences += len(actual.keys() - expected.keys())
            shutil.rmtree(out)
    return differences


def read_results(out: Path) -> dict[str, bytes]:
    """Return the content of all result files by path, without durations."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.parent != out)
    return {str(path.relative_to(out)): TIMING.sub(b"", path.read_bytes()) for path in files if path.name[0] != "."}


def measure_rows(folder: Path, rows: int) -> tuple[float, float, float]:
    """Process the rows of a manifest with workers that do nothing.

    Returns:
        milliseconds for each row of the first tenth and of the last tenth, and bytes of memory for each row.
    """
    path = folder / "rows.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("uri,id\n")
        file.writelines(f"s3://bucket/{number}.mp4,{number}\n" for number in range(rows))
    times = [time.monotonic()]
    tracemalloc.start()
    with RunJournal(folder / "rows") as journal:
        for completion in WorkerPool(return_nothing, jobs=2).process(largest_first(Manifest(path))):
            journal.add(completion.item, "done", {})
            times.append(time.monotonic())
            if len(times) == rows // 10:
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]
    growth = (tracemalloc.get_traced_memory()[1] - before) / (rows * 0.9)
    tracemalloc.stop()
    tenth = rows // 10
    first, last = (1000 * (times[end] - times[end - tenth + 1]) / tenth for end in (tenth, rows))
    return first, last, growth


def return_nothing(_number: int) -> Callable[[ManifestRow], None]:
    """Return the function of a worker that does nothing."""
    return _ignore


def _ignore(_row: ManifestRow) -> None:
    return None


def _children(process: int) -> list[int]:
    listed = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True, check=False).stdout
    return [int(child) for child in listed.split()]


def _resident(process: int) -> float:
    pages = 0
    for number in (process, *_children(process)):
        try:
            pages += int(Path(f"/proc/{number}/statm").read_text().split()[1])
        except (OSError, IndexError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 1 if results differ after kills."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=500, help="rows of the manifest (default 500)")
    parser.add_argument("--kills", type=int, default=50, help="number of kills (default 50)")
    parser.add_argument("--kill-clips", type=int, default=60, help="rows of the manifest of the runs that are killed")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the manifest without videos")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each clip")
    parser.add_argument("--seed", type=int, default=0, help="of the kills (default 0)")
    options = parser.parse_args(arguments)
    differences = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.clips:
            manifest = write_manifest(folder, options.clips, options.seconds)
            one = measure_run(manifest, folder / "one", 1)
            two = measure_run(manifest, folder / "two", 2)
            print(f"clips: {options.clips}, of {options.seconds:g} s each")
            print(f"overhead of one process: {100 * (one.seconds / one.clip_seconds - 1):.1f} %")
            print(f"two processes: {one.seconds / two.seconds:.2f} times as fast as one")
            half = len(one.peaks) // 2
            print(f"memory after half of the clips: {one.peaks[half]:.0f} MiB, at the end: {one.peaks[-1]:.0f} MiB")
        if options.kills:
            manifest = write_manifest(folder, options.kill_clips, options.seconds)
            measure_run(manifest, folder / "undisturbed", 2)
            expected = read_results(folder / "undisturbed")
            differences = count_differences(manifest, folder, expected, options.kills, options.seed)
            print(f"kills: {options.kills}, files that differ: {differences} of {len(expected)}")
        if options.rows:
            first, last, growth = measure_rows(folder, options.rows)
            print(f"rows: {options.rows}, {first:.2f} ms each at the beginning, {last:.2f} ms each at the end")
            print(f"memory for each row: {growth:.0f} bytes")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
