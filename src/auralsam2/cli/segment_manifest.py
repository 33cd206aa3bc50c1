"""`auralsam2 segment` on many videos: rows of a manifest, in this process or in several."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from auralsam2.batch.journal import RunJournal, Status
from auralsam2.batch.manifest import Manifest, ManifestRow, SelectedRows
from auralsam2.batch.run_options import RunOptions
from auralsam2.batch.worker_pool import Completion, WorkerPool
from auralsam2.cli.options import error_text
from auralsam2.cli.progress import frame_progress
from auralsam2.cli.prompt_options import read_prompts
from auralsam2.cli.segment_batch import POLL_SECONDS, BatchReport
from auralsam2.cli.segment_worker import RowResult, SegmentOptions, VideoTask, VideoWorker, check_resume
from auralsam2.errors import EXIT_DONE, EXIT_SOME_FAILED, DiskFullError, InputError, UsageError, as_aural
from auralsam2.media.sources import address_identity, media_file
from auralsam2.paths import is_address

_LOCKED = "locked"


def segment_rows(rows: Iterable[ManifestRow], job: SegmentOptions, run: RunOptions, parameters: Collection[str]) -> int:
    """Segment the videos of rows; returns the exit code.

    Args:
        rows: a manifest; is read twice, with Ray in another process.
        job: options for rows that have none of their own.
        run: options of the run.
        parameters: names of the command's options, for error messages.

    Raises:
        AuralError: the manifest, the model or the folder of the results cannot be used, or the disk is full.
    """
    check_resume(job)
    report = BatchReport(job, parameters, alone=False)
    selected = SelectedRows(rows=rows, options=run)
    total = sum(1 for _ in selected)
    if isinstance(rows, Manifest) and rows.unused:
        report.note(f"{rows.path}: columns without meaning: {', '.join(rows.unused)}")
    if run.dry_run:
        return _check_rows(selected, job, report)
    began = time.time()
    if job.model_reason:
        report.note(job.model_reason)
    with (
        _uploaded(job),
        RunJournal(job.out, run.shard) as journal,
        frame_progress("videos", total, shown=not job.quiet) as advance,
    ):

        def finish(row: ManifestRow, status: Status, result: RowResult, seconds: float = 0.0) -> None:
            details: dict[str, Any] = {"output": result.place} if result.place else {}
            details |= {"warnings": list(result.warnings)} if status == "done" else {}
            details |= {"error": result.error} if status == "failed" else {}
            journal.add(row, status, details | {"seconds": round(seconds, 3)})
            report.row(row, status, result)
            advance(None)

        waiting: Iterable[ManifestRow] = selected
        while True:
            locked: list[ManifestRow] = []
            for completion in _process(waiting, job, run, parameters, began):
                row = completion.item
                result = completion.value or RowResult(status="failed", error=f"{row.uri}: {completion.error}")
                if result.fatal is not None:
                    raise result.fatal
                if result.status == _LOCKED:
                    locked.append(row)
                else:
                    finish(row, result.status, result, completion.seconds)  # type: ignore[arg-type]
            if not locked:
                break
            time.sleep(POLL_SECONDS)
            waiting = locked
    report.note(", ".join(f"{count} {status}" for status, count in journal.counts.items()))
    return EXIT_SOME_FAILED if journal.counts["failed"] else EXIT_DONE


def task_of(row: ManifestRow, job: SegmentOptions) -> VideoTask:
    """Return the task of a row: its own options, and those of the command where it has none.

    Raises:
        UsageError: its prompts or its part cannot be used.
    """
    prompts = job.prompts if row.prompts is None else read_prompts(Path(row.prompts))
    if row.text is not None:
        prompts = dataclasses.replace(prompts, text=row.text)
    start = job.start if row.start is None else row.start
    end = job.end if row.end is None else row.end
    if end is not None and end <= start:
        raise UsageError(f"end {end:g} is not after start {start:g}")
    audio: Any = job.audio if row.audio is None else row.audio if row.audio == "none" else Path(row.audio)
    options = dataclasses.replace(job, prompts=prompts, start=start, end=end, audio=audio)
    return VideoTask(video=Path(row.uri), name=row.id, options=options)


class RowWorker:
    """Segments the videos of rows in one process.

    Args:
        job: options of the command.
        parameters: names of the command's options, for error messages.
        began: start of the run, in seconds since the epoch.
    """

    def __init__(self, job: SegmentOptions, parameters: Collection[str], began: float) -> None:
        self._job, self._parameters = job, parameters
        self._worker = VideoWorker(job, began=began)

    def load(self) -> None:
        """Load the model now.

        Raises:
            AuralError: it cannot be loaded.
        """
        self._worker.load()

    def __call__(self, row: ManifestRow) -> RowResult:
        """Segment the video of a row; an exception is its failure."""
        try:
            if row.error is not None:
                raise InputError(f"row {row.number}: {row.error}")
            with ExitStack() as copies:
                return self._segment(row, copies)
        except Exception as error:
            failure = as_aural(error, row.uri)
            fatal = failure if isinstance(failure, DiskFullError) else None
            return RowResult(status="failed", error=error_text(failure, self._parameters), fatal=fatal)

    def _segment(self, row: ManifestRow, copies: ExitStack) -> RowResult:
        """Segment the video of a row; addresses are copied to temporary files, which the stack removes.

        A video whose address has a time or a tag is not copied if its results are complete.
        """
        task = _resolved(row, self._job, copies)
        if not is_address(row.uri):
            if not task.video.is_file():
                task.options.open(task.video)
        elif task.identity is None or not self._worker.skips(task):
            task = dataclasses.replace(task, video=copies.enter_context(media_file(row.uri)))
        if self._worker.skip(task):
            return RowResult(status="skipped", place=task.place)
        try:
            self._worker.load()
        except Exception as error:
            return RowResult(status="failed", fatal=as_aural(error, self._job.model))
        outcome = self._worker.segment(task, lambda _video, _source: nullcontext(lambda _frame: None))
        if outcome is None:
            return RowResult(status=_LOCKED)
        return RowResult(status=outcome.status, place=task.place, warnings=outcome.warnings)


def _resolved(row: ManifestRow, job: SegmentOptions, copies: ExitStack) -> VideoTask:
    """Return the task of a row, with the identity of a video's address.

    Temporary files, which the stack removes, replace the addresses of sound and prompts.

    Raises:
        AuralError: its prompts or its part cannot be used, or an address cannot be read.
    """
    addresses = {
        name: value for name in ("audio", "prompts") if (value := getattr(row, name)) is not None and is_address(value)
    }
    files = {name: str(copies.enter_context(media_file(value))) for name, value in addresses.items()}
    task = task_of(dataclasses.replace(row, **files), job)
    options = dataclasses.replace(task.options, audio_source=addresses.get("audio", ""))
    source, identity = (row.uri, address_identity(row.uri)) if is_address(row.uri) else (task.source, task.identity)
    return dataclasses.replace(task, options=options, source=source, identity=identity)


@contextmanager
def _uploaded(job: SegmentOptions) -> Iterator[None]:
    """Copy the records of a run to the remote file system at its end, also of an interrupted one."""
    try:
        yield
    finally:
        if job.remote is not None:
            for file in sorted(job.out.glob("*.json*")):
                job.remote.put(file)


def start_worker(
    job: SegmentOptions, run: RunOptions, parameters: Collection[str], began: float, number: int
) -> Callable[[ManifestRow], RowResult]:
    """Start a worker process: it shares the CPU with the others, and takes one of several GPUs.

    With a time limit the model is loaded here, so that the first video has as much time as the others.
    """
    import torch

    threads = job.threads or max(1, (os.cpu_count() or 1) // run.jobs)
    device = job.device
    if device in ("auto", "cuda") and torch.cuda.device_count() > 1:
        device = f"cuda:{number % torch.cuda.device_count()}"
    worker = RowWorker(dataclasses.replace(job, threads=threads, device=device), parameters, began)
    if run.timeout is not None:
        worker.load()
    return worker


def _process(
    rows: Iterable[ManifestRow], job: SegmentOptions, run: RunOptions, parameters: Collection[str], began: float
) -> Iterator[Completion[ManifestRow, RowResult]]:
    """Yield the outcome of each row, from this process, from worker processes or from actors of Ray."""
    names = frozenset(parameters)
    if run.engine == "ray":
        from auralsam2.batch.ray_engine import process_on_ray

        def start_on(threads: int) -> Callable[[int], Callable[[ManifestRow], RowResult]]:
            return partial(start_worker, dataclasses.replace(job, threads=threads), run, names, began)

        gpus = job.device.startswith(("auto", "cuda"))
        yield from process_on_ray(rows, start_on, jobs=run.jobs, threads=job.threads, timeout=run.timeout, gpus=gpus)
        return
    if run.jobs > 1 or run.timeout is not None:
        start = partial(start_worker, job, run, names, began)
        yield from WorkerPool(start, jobs=run.jobs, timeout=run.timeout).process(rows)
        return
    worker: RowWorker | None = None
    for row in rows:
        worker = worker or RowWorker(job, names, began)
        before = time.monotonic()
        yield Completion(item=row, value=worker(row), seconds=time.monotonic() - before)


def _check_rows(rows: Iterable[ManifestRow], job: SegmentOptions, report: BatchReport) -> int:
    """Print for each row whether it would be segmented; returns the exit code."""
    worker = VideoWorker(job, began=time.time())
    for row in rows:
        with report.failures_of(row.uri):
            if row.error is not None:
                raise InputError(f"row {row.number}: {row.error}")
            with ExitStack() as copies:
                task = _resolved(row, job, copies)
                if not is_address(row.uri):
                    task.options.open(task.video)
                worker.check_prompts(task.options.prompts)
                known = task.identity is not None or not is_address(row.uri)
                state = "complete" if known and worker.skips(task) else "to do"
            print(f"{state}: {row.uri} -> {task.place}", file=sys.stderr if job.as_json else sys.stdout)
    return EXIT_SOME_FAILED if report.failures else EXIT_DONE
