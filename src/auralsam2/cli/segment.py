"""`auralsam2 segment`: a folder of masks and overlays for each input video."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auralsam2.errors import (
    EXIT_DONE,
    EXIT_SOME_FAILED,
    DiskFullError,
    InputError,
    OutputError,
    UnavailableError,
    UsageError,
    as_aural,
    message_line,
)
from auralsam2.types import Prompts

if TYPE_CHECKING:
    from auralsam2.inference.video_source import VideoSource

_log = logging.getLogger(__name__)

_EXTENSIONS = ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .mts .m2ts .flv .wmv .ogv .3gp .gif"
VIDEO_EXTENSIONS = frozenset(_EXTENSIONS.split(" "))
"""Endings of the videos in a folder."""
_POLL_SECONDS = 0.5
"""Pause before inputs that other runs have locked are tried again."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """The options of the command, common to all inputs.

    Attributes:
        model: name, folder or hub id.
        out: folder that gets one folder an input.
        prompts: points, boxes, masks and text.
        audio: `track`, `none` or a file.
        fps: frames a second, None for all.
        start, end: part of each input in seconds.
        save: kinds of files.
        device, dtype: as on the command line.
        threads: of the CPU; None for the default of torch.
        resume: skip inputs that are done.
        as_json: one line of JSON an input on stdout.
        quiet: no progress.
    """

    model: str
    out: Path
    prompts: Prompts
    audio: Any
    fps: float | None
    start: float
    end: float | None
    save: frozenset[str]
    device: str
    dtype: str
    threads: int | None
    resume: bool
    as_json: bool
    quiet: bool

    def open(self, video: Path) -> VideoSource:
        """Probe a video and check the options against it.

        Raises:
            InputError: the video, or the sound file, cannot be used.
            UsageError: an option does not fit the video.
        """
        from auralsam2.inference.video_source import VideoSource

        if video.is_dir():
            raise InputError(f"{video}: no videos in this folder; known endings: {' '.join(sorted(VIDEO_EXTENSIONS))}")
        return VideoSource.open(video, self.prompts, audio=self.audio, fps=self.fps, start=self.start, end=self.end)

    def options(self, request: str, dtype: str) -> dict[str, Any]:
        """Return the `options` of `result.json`: those of the command, and the hash of the request."""
        return {
            "request": request,
            "model": self.model,
            "prompts": asdict(self.prompts),
            "audio": self.audio,
            "fps": "all" if self.fps is None else self.fps,
            "start": self.start,
            "end": self.end,
            "dtype": dtype,
            "save": sorted(self.save),
        }


def expand_inputs(inputs: Iterable[Path]) -> list[Path]:
    """Files as they are, folders as the videos in them, by name.

    A folder without videos stays as it is, for `run` to refuse.

    Raises:
        UsageError: two inputs would write to one folder.
    """
    videos: list[Path] = []
    for path in inputs:
        found = find_videos(path) if os.path.isdir(path) else []  # noqa: PTH112 - Path.is_dir raises OSError
        videos += found or [path]
    seen: dict[str, Path] = {}
    for video in (path for path in videos if not os.path.isdir(path)):  # noqa: PTH112
        if (other := seen.setdefault(video.stem, video)) is not video:
            raise UsageError(f"{other} and {video} would both write to {video.stem}/: run them with different --out")
    return videos


def find_videos(folder: Path) -> list[Path]:
    """List the videos directly in a folder, by name, without hidden files.

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from error
    return [path for path in paths if path.suffix.lower() in VIDEO_EXTENSIONS and os.path.isfile(path)]  # noqa: PTH113


def segment_inputs(inputs: list[Path], job: Job) -> int:
    """Segment all inputs; returns the exit code.

    An exception concerns the input that it occurs in, and the next input follows. An interrupt, a full disk and a model
    that cannot be loaded end the run. Several runs may share one output folder: an input that another run has locked is
    tried again at the end.

    Raises:
        AuralError: nothing could be done at all: arguments, the only input, the model, or a full disk.
    """
    began = time.time()
    if job.resume and "json" not in job.save:
        raise UsageError("--resume needs json among --save: result.json tells what is done")
    videos = expand_inputs(inputs)
    report = BatchReport(job, alone=len(inputs) == 1 and videos == inputs)
    usable: list[Path] = []
    for video in videos:
        with report.failures_of(video):
            job.open(video)
            usable.append(video)
    if usable:
        _segment(usable, job, report, began)
    return EXIT_SOME_FAILED if report.failures else EXIT_DONE


def _segment(videos: list[Path], job: Job, report: BatchReport, began: float) -> None:
    """Segment the inputs that passed the first check, of which those that are done are skipped."""
    from auralsam2.hub import download

    download.check(job.model)
    import torch

    from auralsam2.model import AuralSAM2, check_modality, pick_device, pick_dtype

    if job.threads is not None:
        torch.set_num_threads(job.threads)
    dtype = pick_dtype(job.dtype, pick_device(job.device))
    config, weights = _fetch(job.model)
    batch = _Batch(job, report, weights=weights, dtype=dtype, began=began)
    waiting = []
    for video in videos:
        with report.failures_of(video):
            if not batch.skips(video):
                waiting.append(video)
    if not waiting:
        return
    check_modality(config, job.prompts, job.model)
    report.note(f"loading model {job.model}")
    model = AuralSAM2.from_pretrained(job.model, job.device, job.dtype)
    model.streaming()
    if _fetch(job.model)[1] != weights:
        raise UnavailableError(f"model {job.model}: changed while it was loaded; run again once it is complete")
    batch.segment_all(waiting, model)


def _fetch(model: str) -> tuple[Any, str]:
    """Fetch all parts of a model; returns its configuration and the hash of its weights."""
    from auralsam2.config import ModelConfig
    from auralsam2.hub import download

    folder = download.resolve(model)
    config = ModelConfig.load(folder)
    download.fetch_sam2(config.sam2, folder)
    if config.text is not None:
        download.fetch_text(config.text, folder)
    return config, download.weights_hash(folder)


class _Batch:
    """The inputs of a run, and their locks.

    Args:
        job: options of the command.
        report: gets the outcome of each input.
        weights: hash of the model's weights.
        dtype: fp32, bf16 or fp16.
        began: seconds since the epoch. Of another run with an equal request, the results written after this time count
            as done even without --resume.
    """

    def __init__(self, job: Job, report: BatchReport, *, weights: str, dtype: str, began: float) -> None:
        self._job, self._report = job, report
        self._weights, self._dtype, self._began = weights, dtype, began

    def segment_all(self, videos: list[Path], model: Any) -> None:
        """Segment videos in order; those that other runs have locked follow when they are free."""
        noted: set[Path] = set()
        while videos:
            locked = []
            for video in videos:
                with self._report.failures_of(video):
                    if not self._segment(video, model):
                        locked.append(video)
                        if video not in noted:
                            self._report.note(f"{video}: another run is writing its results, tried again at the end")
                            noted.add(video)
            if len(locked) == len(videos):
                time.sleep(_POLL_SECONDS)
            videos = locked

    def skips(self, video: Path) -> bool:
        """Report a video as skipped if its results are complete."""
        skipped = self._is_done(video, self._request(video))
        if skipped:
            self._report.skipped(video, self._folder(video))
        return skipped

    def _segment(self, video: Path, model: Any) -> bool:
        """Segment a video, or skip it; returns False where another run has locked its folder."""
        from auralsam2.utils.atomic_io import claim

        job, folder = self._job, self._folder(video)
        with claim(folder) as held:
            if not held:
                return False
            if self.skips(video):  # another run has completed it
                return True
            request = self._request(video)
            source = job.open(video)  # again: the file may have changed since the first check
            result = model.segment_source(source, job.prompts)
            options = job.options(request, self._dtype)
            with self._report.progress(video, source) as on_frame:
                result.save(job.out, save=job.save, options=options, on_frame=on_frame)
            self._report.done(video, folder, result.warnings)
        return True

    def _folder(self, video: Path) -> Path:
        from auralsam2.model import result_folder

        return result_folder(self._job.out, video)

    def _request(self, video: Path) -> str:
        from auralsam2.outputs.request import request_hash

        job = self._job
        return request_hash(
            video,
            weights=self._weights,
            prompts=job.prompts,
            audio=job.audio,
            fps=job.fps,
            start=job.start,
            end=job.end,
            dtype=self._dtype,
            save=job.save,
        )

    def _is_done(self, video: Path, request: str) -> bool:
        from auralsam2.outputs.result_folder import NAMES, is_complete

        folder = self._folder(video)
        if not self._job.resume:
            try:
                if (folder / NAMES["json"]).stat().st_mtime < self._began:
                    return False
            except OSError:
                return False
        return is_complete(folder, request, self._job.save)


class BatchReport:
    """Prints progress, notes and errors on stderr, and JSON on stdout.

    Args:
        job: options of the command.
        alone: there is one input, and it is a file.
    """

    def __init__(self, job: Job, *, alone: bool) -> None:
        self._job, self._alone = job, alone
        self.failures = 0

    @contextmanager
    def failures_of(self, video: Path) -> Iterator[None]:
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
            self._line({"input": str(video), "status": "failed", "error": str(failure)})
            if self._alone or isinstance(failure, DiskFullError):
                if failure is error:
                    raise
                raise failure from error
            _log.debug("%s failed", video, exc_info=error)
            self.failures += 1
            print(message_line("error", failure), file=sys.stderr)

    def note(self, text: str) -> None:
        """Print a line, unless --quiet is given."""
        if not self._job.quiet:
            print(message_line("", text), file=sys.stderr)

    def skipped(self, video: Path, folder: Path) -> None:
        """Report an input whose results are complete already."""
        self.note(f"{video}: done before, skipped")
        self._line({"input": str(video), "status": "skipped", "output": str(folder)})

    def done(self, video: Path, folder: Path, warnings: list[str]) -> None:
        """Report an input whose results are written."""
        for warning in warnings:
            print(message_line("warning", f"{video}: {warning}"), file=sys.stderr)
        self.note(f"{video}: written to {folder}")
        line: dict[str, Any] = {"input": str(video), "status": "done", "output": str(folder), "warnings": warnings}
        if self._job.as_json and "json" in self._job.save:
            from auralsam2.utils.json_stream import read_object

            # Lists arrive element by element.
            line |= {"frames": 0, "intervals": []}
            file = folder / "result.json"
            try:
                for name, value in read_object(file):
                    if name == "frames":
                        line["frames"] += 1
                    elif name == "intervals":
                        line["intervals"].append(value)
                    elif name in ("timing", "device", "dtype"):
                        line[name] = value
            except (OSError, ValueError) as error:
                raise OutputError(f"{file}: another program has changed it: run this input again") from error
        self._line(line)

    def progress(self, video: Path, source: Any) -> Any:
        """Return a context with a bar on a terminal; it yields the function to call after each frame."""
        from auralsam2.cli.progress import frame_progress

        info = source.info
        span = max(0.0, min(source.end or info.duration, info.duration) - source.start)
        total = round(span * (source.fps or info.fps)) or None
        return frame_progress(video.name, total, shown=not self._job.quiet)

    def _line(self, values: dict[str, Any]) -> None:
        if self._job.as_json:
            print(json.dumps(values), flush=True)
