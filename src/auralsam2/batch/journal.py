"""Records of a run: one line for each video, and a summary."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, TextIO

from auralsam2.batch.manifest import ERROR, ManifestRow
from auralsam2.batch.run_options import Shard
from auralsam2.utils.atomic_io import write_file, writing

Status = Literal["done", "skipped", "failed"]
STATUSES: tuple[Status, ...] = ("done", "skipped", "failed")


class RunJournal:
    """Context manager that writes `results.jsonl`, `failures.jsonl` and `summary.json` into the folder of the results.

    `results.jsonl` has one line for each video in the order of completion, written at once. `failures.jsonl` has the
    rows that failed with their reasons; it is a manifest for another try, and is absent without failures.
    `summary.json` appears at the end. The names get the suffix of the shard. Files of an earlier run are replaced.

    Args:
        out: folder of the results.
        shard: part of the manifest.

    Attributes:
        counts: number of videos by status.
    """

    def __init__(self, out: Path, shard: Shard | None = None) -> None:
        self._out, self._suffix = out, (shard or Shard()).suffix
        self.counts: dict[Status, int] = dict.fromkeys(STATUSES, 0)
        self._files = ExitStack()
        self._results: TextIO | None = None
        self._failures: TextIO | None = None
        self._began = 0.0

    def path(self, name: Literal["results.jsonl", "failures.jsonl", "summary.json"]) -> Path:
        """Return the path of a record."""
        stem, _, ending = name.partition(".")
        return self._out / f"{stem}{self._suffix}.{ending}"

    def __enter__(self) -> RunJournal:
        """Start the records.

        Raises:
            OutputError: the folder cannot be written.
        """
        self._began = time.time()
        with writing(self._out):
            self._out.mkdir(parents=True, exist_ok=True)
            for name in ("failures.jsonl", "summary.json"):
                self.path(name).unlink(missing_ok=True)
            self._results = self._files.enter_context(self.path("results.jsonl").open("w", encoding="utf-8"))
        return self

    def __exit__(self, *_: object) -> None:
        """Write the summary, of an interrupted run too."""
        with writing(self._out):
            self._files.close()
            seconds = round(time.time() - self._began, 3)
            summary = {"videos": sum(self.counts.values()), **self.counts, "seconds": seconds}
            write_file(self.path("summary.json"), (json.dumps(summary, indent=2) + "\n").encode())

    def add(self, row: ManifestRow, status: Status, details: Mapping[str, Any]) -> None:
        """Record the outcome of a row.

        Args:
            row: the row.
            status: `done`, `skipped` or `failed`.
            details: further members of the line; of a failure, `error` is the reason.

        Raises:
            OutputError: a record cannot be written.
        """
        self.counts[status] += 1
        with writing(self._out):
            self._write(self._results, {"id": row.id, "uri": row.uri, "status": status, **details})
            if status == "failed":
                if self._failures is None:
                    file = self.path("failures.jsonl").open("w", encoding="utf-8")
                    self._failures = self._files.enter_context(file)
                values = row.values or {"uri": row.uri, "id": row.id}
                self._write(self._failures, {**values, ERROR: details.get(ERROR, "")})

    @staticmethod
    def _write(file: TextIO | None, line: Mapping[str, Any]) -> None:
        assert file is not None
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
        file.flush()
