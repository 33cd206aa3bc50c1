"""Measure `auralsam2 segment --manifest` on many short clips: overhead, speed of two processes, memory, and kills.

    python benchmarks/archive.py FOLDER [--clips 500] [--kills 50] [--rows 100000] [--ray-rows 5000] [--seconds 2]

Prints these figures, all but the last from runs of the command with the bundled model:

- overhead of one process, and of one worker of Ray, over the sum of the durations of its clips, without its start;
- speed of two processes in relation to one, both without their starts, in time and in processor time; memory in the
  middle and at the end;
- results after kills of the local engine, of two shards, and of Ray: the command or a worker is killed with SIGKILL at
  random times and run again until it ends; all files must equal those of an undisturbed run, but for `timing`;
- time and memory for each row of a manifest whose workers do nothing.

FOLDER holds results and the finished parts; the same command continues after an interruption.
"""

from __future__ import annotations

import argparse
import json
import operator
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from auralsam2.batch.journal import RunJournal
from auralsam2.batch.manifest import Manifest, ManifestRow, SelectedRows
from auralsam2.batch.ray_engine import process_on_ray
from auralsam2.batch.run_options import RunOptions
from auralsam2.batch.worker_pool import Completion, WorkerPool
from auralsam2.bench.material import write_bench_clip

ENGINES = {"local": ("--jobs", "2"), "shard": (), "ray": ("--engine", "ray", "--jobs", "2")}
"""Options of the runs that are killed."""
START = operator.attrgetter("__ne__")
"""Start of a worker that does next to nothing: it compares its number with each row. All processes can import it."""
TIMING = re.compile(rb'"timing": \{[^}]*\}')


@dataclass(frozen=True, kw_only=True)
class Run:
    """Measurements of one run of the command.

    Attributes:
        seconds: from the first completed clip to the last one.
        clip_seconds: sum of the durations of these clips, without the first one of each process.
        processor: processor seconds of all processes; of Ray those of the command alone.
        half, end: resident memory of the command and its processes in MiB, after half of the clips and after all.
    """

    seconds: float
    clip_seconds: float
    processor: float
    half: float
    end: float


class State:
    """Finished parts in a JSON file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.parts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def save(self, name: str, value: Any) -> None:
        """Record a part."""
        self.parts[name] = value
        self._path.write_text(json.dumps(self.parts, indent=2), encoding="utf-8")

    def once(self, name: str, measure: Callable[[], Any]) -> Any:
        """Return a part, which is measured unless the file has it."""
        if name not in self.parts:
            self.save(name, measure())
        return self.parts[name]


def write_manifest(folder: Path, clips: int, seconds: float) -> Path:
    """Write four clips and a manifest whose rows name them in turn."""
    for number in range(4):
        clip = folder / f"{number}.mp4"
        if not clip.exists():
            write_bench_clip(clip, seconds, 10 + number)
    lines = [json.dumps({"uri": f"{number % 4}.mp4", "id": f"clip{number:06d}"}) for number in range(clips)]
    manifest = folder / f"clips-{clips}.jsonl"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def start_command(manifest: Path, out: Path, *engine: str) -> subprocess.Popen[bytes]:
    """Start the command in a process group of its own, with one thread a process."""
    arguments = ["segment", "--manifest", manifest, "--out", out, *engine, "--threads", "1", "--quiet"]
    command = [sys.executable, "-m", "auralsam2", *map(str, arguments), "--save", "masks,json"]
    errors = (out.parent / "errors.log").open("ab")
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=errors)


def measure_run(manifest: Path, out: Path, jobs: int, *engine: str) -> dict[str, float]:
    """Run the command to its end; returns a `Run`.

    Raises:
        RuntimeError: it failed.
    """
    shutil.rmtree(out, ignore_errors=True)
    before = os.times()
    process = start_command(manifest, out, "--jobs", str(jobs), *engine)
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
    after = os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    durations = [json.loads(line)["seconds"] for line in records.read_text(encoding="utf-8").splitlines()]
    run = Run(
        seconds=times[-1] - times[0],
        clip_seconds=sum(durations[jobs:]),
        processor=processor,
        half=peaks[len(peaks) // 2],
        end=peaks[-1],
    )
    return asdict(run)


def kill_runs(
    kind: str, manifest: Path, out: Path, expected: dict[str, bytes], kills: int, seed: int, state: State
) -> dict[str, int]:
    """Kill processes of runs after random numbers of clips; returns numbers of kills, runs and files that differ.

    A command that was killed, or ended with failures, is started again; when all have ended, the results are compared
    and deleted.
    """
    totals = state.parts.get(f"kills {kind}") or {"kills": 0, "runs": 0, "differences": 0}
    engines = [("--shard", f"{number}/2") for number in (1, 2)] if kind == "shard" else [ENGINES[kind]]
    chance = random.Random(f"{seed} {kind} {totals['kills']}")
    commands: list[subprocess.Popen[bytes]] = []
    while totals["kills"] < kills or commands:
        commands = commands or [start_command(manifest, out, *engine) for engine in engines]
        clips = _complete(out) + chance.randint(0, 6) if totals["kills"] < kills else len(expected)
        while _complete(out) < clips and all(command.poll() is None for command in commands):
            time.sleep(0.1)
        time.sleep(chance.uniform(0.0, 1.0))
        alive = [command.pid for command in commands if command.poll() is None]
        if alive and totals["kills"] < kills:
            _kill(chance.choice([victim for pid in alive for victim in (pid, *_workers(pid))]))
            totals["kills"] += 1
            state.save(f"kills {kind}", totals)
            time.sleep(0.5)
        for number, command in enumerate(commands):
            if command.poll() not in (None, 0):
                commands[number] = start_command(manifest, out, *engines[number])
        if all(command.poll() == 0 for command in commands):
            commands = []
            actual = read_results(out)
            different = sorted(name for name in actual | expected if actual.get(name) != expected.get(name))
            for name in different:
                print(f"{name}: {'differs' if name in actual and name in expected else 'missing or left over'}")
                _keep(out / name, out.parent / "different" / name)
            totals["differences"] += len(different)
            totals["runs"] += 1
            state.save(f"kills {kind}", totals)
            shutil.rmtree(out)
    return totals


def read_results(out: Path) -> dict[str, bytes]:
    """Return the content of all result files by path, without durations."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.parent != out)
    return {str(path.relative_to(out)): TIMING.sub(b"", path.read_bytes()) for path in files if path.name[0] != "."}


def measure_rows(folder: Path, rows: int, engine: str) -> tuple[float, float, float]:
    """Process the rows of a manifest with two workers that do nothing, of the local engine or of Ray.

    Returns:
        milliseconds for each row of the first tenth and of the last tenth, and bytes of memory for each row.
    """
    path = folder / "rows.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("uri,id\n")
        file.writelines(f"s3://bucket/{number}.mp4,{number}\n" for number in range(rows))
    times = [time.monotonic()]
    tracemalloc.start()
    before = 0
    selected = SelectedRows(rows=Manifest(path), options=RunOptions(jobs=2))
    completions: Iterable[Completion[ManifestRow, Any]]
    if engine == "ray":
        completions = process_on_ray(selected, _start_on, jobs=2, gpus=False)
    else:
        completions = WorkerPool(START, jobs=2).process(selected)
    with RunJournal(folder / "rows") as journal:
        for completion in completions:
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


def _start_on(_threads: int) -> Callable[[int], Callable[[ManifestRow], Any]]:
    return START


def _keep(file: Path, copy: Path) -> None:
    """Copy a file that differs, if there is one, to look at it."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        shutil.copyfile(file, copy)


def _complete(out: Path) -> int:
    return sum(1 for _ in out.glob("*/result.json"))


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def _descendants(process: int) -> dict[int, str]:
    """Return the command line of each process below a process."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()[1:]]
    found, parents = {}, {process}
    while parents:
        children = {int(row[0]): row[-1] for row in rows if int(row[1]) in parents and int(row[0]) not in found}
        found |= children
        parents = set(children)
    return found


def _workers(process: int) -> list[int]:
    """Return the worker processes and the actors of a command."""
    return [pid for pid, line in _descendants(process).items() if "spawn_main" in line or "RayWorker" in line]


def _resident(process: int) -> float:
    pages = 0
    for number in (process, *_descendants(process)):
        try:
            pages += int(Path(f"/proc/{number}/statm").read_text().split()[1])
        except (OSError, IndexError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _share(total: int, number: int) -> int:
    """Return the share of an engine in the kills."""
    return total // len(ENGINES) + (number < total % len(ENGINES))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 1 if results differ after kills."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the results, created if missing")
    parser.add_argument("--clips", type=int, default=500, help="rows of the manifest (default 500)")
    parser.add_argument("--kills", type=int, default=50, help="number of kills, over all engines (default 50)")
    parser.add_argument("--kill-clips", type=int, default=60, help="rows of the manifest of the runs that are killed")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the manifest without videos")
    parser.add_argument("--ray-rows", type=int, default=5000, help="rows of the same kind for Ray")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each clip")
    parser.add_argument("--seed", type=int, default=0, help="of the kills (default 0)")
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    state = State(folder / "state.json")
    differences = 0
    if options.kills:
        manifest = write_manifest(folder, options.kill_clips, options.seconds)
        state.once("undisturbed", partial(measure_run, manifest, folder / "undisturbed", 2))
        expected = read_results(folder / "undisturbed")
        for number, kind in enumerate(ENGINES):
            kills = _share(options.kills, number)
            totals = kill_runs(kind, manifest, folder / f"killed-{kind}", expected, kills, options.seed, state)
            print(f"{kind}: {totals['kills']} kills in {totals['runs']} runs of {options.kill_clips} clips", end=", ")
            print(f"files that differ: {totals['differences']} of {len(expected)}", flush=True)
            differences += totals["differences"]
    for engine, rows in (("local", options.rows), ("ray", options.ray_rows)):
        if rows:
            first, last, growth = state.once(f"rows {engine}", partial(measure_rows, folder, rows, engine))
            print(f"{engine}: {rows} rows, {first:.2f} ms each at the beginning, {last:.2f} ms each at the end")
            print(f"memory for each row: {growth:.0f} bytes", flush=True)
    if options.clips:
        _report_clips(write_manifest(folder, options.clips, options.seconds), options.clips, state)
    return 1 if differences else 0


def _report_clips(manifest: Path, clips: int, state: State) -> None:
    folder = manifest.parent
    one, two, ray = (
        Run(**state.once(name, partial(measure_run, manifest, folder / name, jobs, *engine)))
        for name, jobs, engine in (("one", 1, ()), ("two", 2, ()), ("ray", 1, ("--engine", "ray")))
    )
    print(f"clips: {clips}")
    print(f"overhead of one process: {100 * (one.seconds / one.clip_seconds - 1):.1f} %")
    print(f"overhead of one worker of Ray: {100 * (ray.seconds / ray.clip_seconds - 1):.1f} %")
    print(f"two processes: {one.seconds / two.seconds:.2f} times as fast as one, ", end="")
    print(f"in {two.processor / one.processor:.2f} times its processor time")
    print(f"memory of one process after half of the clips: {one.half:.0f} MiB, at the end: {one.end:.0f} MiB")
    print(f"memory of two after half: {two.half:.0f} MiB, at the end: {two.end:.0f} MiB", flush=True)


if __name__ == "__main__":
    sys.exit(main())
