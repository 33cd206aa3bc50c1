"""Reports of `auralsam2 segment` on its inputs, and the loop over them."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auralsam2.cli.options import error_text
from auralsam2.cli.segment_worker import RowResult, SegmentOptions, VideoTask, VideoWorker
from auralsam2.errors import DiskFullError, OutputError, as_aural, message_line

if TYPE_CHECKING:
    from auralsam2.batch.manifest import ManifestRow

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""Pause before inputs that other runs have locked are tried again."""


def segment_all(tasks: list[VideoTask], worker: VideoWorker, report: BatchReport) -> None:
    """Segment videos in order, and those that other runs have locked once they are unlocked."""
    announced: set[str] = set()
    while tasks:
        locked = []
        for task in tasks:
            with report.failures_of(task.label):
                outcome = worker.segment(task, report.progress)
                if outcome is None:
                    locked.append(task)
                    if task.label not in announced:
                        report.note(f"{task.label}: another run is writing its results; retried at the end")
                        announced.add(task.label)
                elif outcome.status == "skipped":
                    report.skipped(task.label, task.place)
                else:
                    report.done(task.label, task.place, list(outcome.warnings))
        if len(locked) == len(tasks):
            time.sleep(POLL_SECONDS)
        tasks = locked


class BatchReport:
    """Prints progress, notes and errors on stderr, and JSON on stdout.

    Args:
        job: options of the command.
        parameters: names of the command's options, for error messages.
        alone: the command has one input, which is a file.
    """

    def __init__(self, job: SegmentOptions, parameters: Collection[str], *, alone: bool) -> None:
        self._job, self._parameters, self._alone = job, parameters, alone
        self.failures = 0

    @contextmanager
    def failures_of(self, video: Path | str) -> Iterator[None]:
        """Report an exception inside as the failure of an input.

        Raises:
            AuralError: the only input failed, or the disk is full.
        """
        try:
            yield
        except BrokenPipeError:  # of stdout or stderr
            raise
        except Exception as error:
            failure = as_aural(error, video)
            message = error_text(failure, self._parameters)
            self._line({"input": str(video), "status": "failed", "error": message})
            if self._alone or isinstance(failure, DiskFullError):
                if failure is error:
                    raise
                raise failure from error
            _log.debug("%s failed", video, exc_info=error)
            self.failures += 1
            print(message_line("error", message), file=sys.stderr)

    def note(self, text: str) -> None:
        """Print a line, unless --quiet is given."""
        if not self._job.quiet:
            print(message_line("", text), file=sys.stderr)

    def skipped(self, video: Path | str, place: str) -> None:
        """Report an input whose results are complete already."""
        self.note(f"{video}: results are complete, skipped")
        self._line({"input": str(video), "status": "skipped", "output": place})

    def done(self, video: Path | str, place: str, warnings: list[str]) -> None:
        """Report an input whose results are written."""
        for warning in warnings:
            print(message_line("warning", f"{video}: {warning}"), file=sys.stderr)
        self.note(f"{video}: written to {place}")
        line: dict[str, Any] = {"input": str(video), "status": "done", "output": place, "warnings": warnings}
        if self._job.as_json and "json" in self._job.save:
            from auralsam2.utils.json_stream import read_object

            # Lists arrive element by element.
            line |= {"frames": 0, "intervals": []}
            try:
                with self._record(place) as file:
                    for name, value in read_object(file):
                        if name == "frames":
                            line["frames"] += 1
                        elif name == "intervals":
                            line["intervals"].append(value)
                        elif name in ("timing", "device", "dtype"):
                            line[name] = value
            except (OSError, ValueError) as error:
                raise OutputError(
                    f"{place}/result.json: another program has changed it: run this input again"
                ) from error
        self._line(line)

    def row(self, row: ManifestRow, status: str, result: RowResult) -> None:
        """Report a row of a manifest."""
        if status == "failed":
            self.failures += 1
            self._line({"input": row.uri, "id": row.id, "status": status, "error": result.error})
            print(message_line("error", result.error), file=sys.stderr)
        elif result.place is not None:
            report = self.skipped if status == "skipped" else partial(self.done, warnings=list(result.warnings))
            report(row.uri, result.place)

    def progress(self, video: Path, source: Any) -> Any:
        """Return a context with a bar on a terminal; it yields the function to call after each frame."""
        from auralsam2.cli.progress import frame_progress

        info = source.info
        span = max(0.0, min(source.end or info.duration, info.duration) - source.start)
        total = round(span * (source.fps or info.fps)) or None
        return frame_progress(video.name, total, shown=not self._job.quiet)

    def _record(self, place: str) -> AbstractContextManager[Path]:
        """Provide `result.json` of a result."""
        remote = self._job.remote
        if remote is None:
            return nullcontext(Path(place) / "result.json")
        return remote.fetched(f"{place.removeprefix(remote.address(''))}/result.json")

    def _line(self, values: dict[str, Any]) -> None:
        if self._job.as_json:
            print(json.dumps(values), flush=True)
