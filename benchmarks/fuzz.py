"""Run damaged inputs through the program: each case must end in a result or in a one-line error, within a time limit.

Prints a table and the failed cases. The exit code is 1 if a case raised an exception other than an `AuralError`,
exceeded the time limit or left a half-written file. The cases depend on the seed alone.

    python benchmarks/fuzz.py --kind media --count 3000 --seed 0
"""

from __future__ import annotations

import argparse
import importlib
import logging
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, Protocol

from auralsam2.errors import AuralError

MODULES = {
    "media": "fuzz_media",
    "model": "fuzz_models",
    "checkpoint": "fuzz_models",
    "recipe": "fuzz_files",
    "session": "fuzz_files",
    "csv": "fuzz_files",
}
"""Module of each kind, with a dictionary `KINDS`."""

START_SECONDS = 120.0
"""Time limit for starting a worker process and for preparing its kind."""

Outcome = Literal["result", "error", "traceback", "timeout", "half"]
COLUMNS: dict[Outcome, str] = {
    "result": "results",
    "error": "one-line errors",
    "traceback": "tracebacks",
    "timeout": "over the limit",
    "half": "half-written",
}
"""Column heading of each outcome."""


class Kind(Protocol):
    """Kind of damaged input."""

    def __init__(self, folder: Path, seed: int) -> None:
        """Write the undamaged files to `folder`."""

    def make(self, number: int) -> Path:
        """Write case `number`; it depends on the seed and on the number alone."""
        ...

    def run(self, case: Path) -> None:
        """Process a case as the program does; raise an `AuralError` if it is unusable."""

    def leftovers(self, case: Path) -> list[Path]:
        """Return the half-written files of the run."""
        ...


@dataclass
class Tally:
    """Numbers of outcomes of one kind, and a line for each failed case."""

    counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(COLUMNS, 0))
    failures: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """Number of cases."""
        return sum(self.counts.values())

    def add(self, outcome: Outcome, failure: str) -> None:
        """Count a case; `failure` describes it for the list of failed cases."""
        self.counts[outcome] += 1
        if outcome not in ("result", "error"):
            self.failures.append(f"{COLUMNS[outcome]}: {failure}")


def fuzz(kind: str, count: int, seed: int = 0, seconds: float = 20.0, jobs: int = 1, save: Path | None = None) -> Tally:
    """Run cases 0 … count - 1 of a kind.

    Args:
        kind: key of `MODULES`.
        count: number of cases.
        seed: seed of the mutations.
        seconds: time limit for a case.
        jobs: number of worker processes.
        save: folder for the failed cases; None for none.
    """
    tally = Tally()
    lock = threading.Lock()
    numbers = iter(range(count))
    errors: list[BaseException] = []

    def work(folder: Path) -> None:
        try:
            with _Worker(kind, folder, seed, seconds) as worker:
                while (number := _next(numbers, lock)) is not None and not errors:
                    outcome, text, case = worker.run(number)
                    with lock:
                        tally.add(outcome, f"{kind} {number} of seed {seed}: {text}")
                    if case is not None and case.exists():
                        if save is not None and outcome not in ("result", "error"):
                            save.mkdir(parents=True, exist_ok=True)
                            _move(case, save / f"{kind}-{seed}-{number}{case.suffix}")
                        _remove(case)
        except BaseException as error:
            errors.append(error)

    with tempfile.TemporaryDirectory(prefix="fuzz-") as root:
        threads = [threading.Thread(target=work, args=(Path(root, str(job)),)) for job in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]
    return tally


class _Worker:
    """Process that runs cases one by one; replaced after a case that kills it or exceeds the time limit."""

    def __init__(self, kind: str, folder: Path, seed: int, seconds: float) -> None:
        self._kind, self._folder, self._seed, self._seconds = kind, folder, seed, seconds
        self._starts = 0
        self._process: Any = None
        self._connection: Any = None

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def run(self, number: int) -> tuple[Outcome, str, Path | None]:
        """Return the outcome of a case, a description, and the path of the case if it was written."""
        if self._process is None:
            self._start()
        case: Path | None = None
        try:
            self._connection.send(number)
            case = Path(self._receive(START_SECONDS))
            outcome, text = self._receive(self._seconds)
        except TimeoutError:
            self._stop()
            return "timeout", f"{case} ran for more than {self._seconds:g} s", case
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            self._stop()
            return "traceback", f"{case} ended the process with code {code}", case
        return outcome, text, case

    def _start(self) -> None:
        folder = self._folder / str(self._starts)
        folder.mkdir(parents=True)
        self._starts += 1
        context = multiprocessing.get_context("spawn")
        self._connection, child = context.Pipe()
        self._process = context.Process(target=_serve, args=(child, self._kind, folder, self._seed), daemon=True)
        self._process.start()
        child.close()
        try:
            self._receive(START_SECONDS)
        except (EOFError, TimeoutError) as error:
            self._stop()
            raise RuntimeError(f"{self._kind}: the worker process did not start; see its message above") from error

    def _receive(self, seconds: float) -> Any:
        if not self._connection.poll(seconds):
            raise TimeoutError
        return self._connection.recv()

    def _stop(self) -> None:
        if self._process is not None:
            self._connection.close()
            self._process.kill()
            self._process.join()
            self._process = None


def _serve(connection: Connection, name: str, folder: Path, seed: int) -> None:
    """Run the cases whose numbers arrive through a connection; the loop of a worker process."""
    logging.disable(logging.CRITICAL)
    kind: Kind = load(name)(folder, seed)
    connection.send("ready")
    while True:
        try:
            number = connection.recv()
        except EOFError:
            return
        case = kind.make(number)
        connection.send(str(case))
        connection.send(_outcome(kind, case))


def _outcome(kind: Kind, case: Path) -> tuple[Outcome, str]:
    outcome: Outcome = "result"
    text = ""
    try:
        kind.run(case)
    except AuralError as error:
        outcome, text = "error", str(error)
    except BaseException as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return "traceback", f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})"
    partial = kind.leftovers(case)
    return ("half", ", ".join(map(str, partial))) if partial else (outcome, text)


def load(kind: str) -> type[Kind]:
    """Return the class of a kind."""
    return importlib.import_module(MODULES[kind]).KINDS[kind]


def table(tallies: dict[str, Tally]) -> str:
    """Format a table with one row per kind."""
    heads = ["kind", "cases", *COLUMNS.values()]
    rows = [[kind, str(tally.cases), *map(str, tally.counts.values())] for kind, tally in tallies.items()]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (heads, *rows)]
    return "\n".join(lines)


def _next(numbers: Iterator[int], lock: threading.Lock) -> int | None:
    with lock:
        return next(numbers, None)


def _move(case: Path, target: Path) -> None:
    _remove(target)
    shutil.move(case, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Run damaged inputs through the program.")
    parser.add_argument("--kind", choices=[*MODULES, "all"], required=True, help="kind of input")
    parser.add_argument("--count", type=int, default=300, help="number of cases of each kind (default 300)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the mutations (default 0)")
    parser.add_argument("--seconds", type=float, default=20.0, help="time limit for a case (default 20)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="worker processes (default: one per CPU)")
    parser.add_argument("--save", type=Path, help="folder for the failed cases")
    options = parser.parse_args()
    kinds = list(MODULES) if options.kind == "all" else [options.kind]
    tallies: dict[str, Tally] = {}
    for kind in kinds:
        tallies[kind] = fuzz(kind, options.count, options.seed, options.seconds, options.jobs, options.save)
        for failure in tallies[kind].failures:
            print(failure, file=sys.stderr)
    print(table(tallies))
    return 1 if any(tally.failures for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
