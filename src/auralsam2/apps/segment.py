"""`auralsam2 segment`: videos in, folders with masks and overlays out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from auralsam2.errors import EXIT_DONE, EXIT_SOME_FAILED, AuralError, InputError, OutputError, UsageError, message_line
from auralsam2.types import Prompts

_ENDINGS = ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .mts .m2ts .flv .wmv .ogv .3gp .gif"
ENDINGS = frozenset(_ENDINGS.split(" "))
"""What counts as a video in a folder."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is done with each input.

    Attributes:
        model: name, folder or hub id.
        out: folder that gets one folder an input.
        prompts: beside the sound.
        audio: `track`, `none` or a file.
        fps: frames a second, None for all.
        start, end: part of each input in seconds.
        save: kinds of files.
        device, dtype: as on the command line.
        threads: of the CPU; None leaves it to torch.
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

    def options(self, video: Path, dtype: str) -> dict[str, Any]:
        """What must agree for a result to count as done."""
        return {
            "model": self.model,
            "input_bytes": video.stat().st_size,
            "prompts": asdict(self.prompts),
            "audio": self.audio,
            "fps": "all" if self.fps is None else self.fps,
            "start": self.start,
            "end": self.end,
            "dtype": dtype,
            "save": sorted(self.save),
        }


def expand(inputs: Iterable[Path]) -> list[Path]:
    """Files as they are, folders as the videos in them, by name.

    A folder without videos stays as it is, for `run` to refuse.

    Raises:
        UsageError: two inputs would write to one folder.
    """
    videos: list[Path] = []
    for path in inputs:
        found = videos_in(path) if path.is_dir() else []
        videos += found or [path]
    seen: dict[str, Path] = {}
    for video in (path for path in videos if not path.is_dir()):
        if (other := seen.setdefault(video.stem, video)) is not video:
            raise UsageError(f"{other} and {video} would both write to {video.stem}/: run them with different --out")
    return videos


def videos_in(folder: Path) -> list[Path]:
    """The videos that lie in a folder, by name; hidden files are none.

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from error
    return [path for path in files if path.suffix.lower() in ENDINGS]


def run(inputs: list[Path], job: Job) -> int:
    """Segment all inputs; returns the exit code.

    Raises:
        AuralError: nothing could be done at all: arguments, the only input, or the model.
    """
    from auralsam2.tracker.source import Source

    if job.resume and "json" not in job.save:
        raise UsageError("--resume needs json among --save: result.json tells what is done")
    videos = expand(inputs)
    alone = len(inputs) == 1 and videos == inputs
    report = Report(job)
    sources: list[tuple[Path, Source]] = []
    for video in videos:
        try:
            if video.is_dir():
                raise InputError(f"{video}: no videos in this folder; known endings: {' '.join(sorted(ENDINGS))}")
            source = Source.open(video, job.prompts, audio=job.audio, fps=job.fps, start=job.start, end=job.end)
        except AuralError as error:
            report.failed(video, error, alone=alone)
        else:
            sources.append((video, source))
    if sources:
        _segment(sources, job, report, alone=alone)
    return EXIT_SOME_FAILED if report.failures else EXIT_DONE


def _segment(sources: list[tuple[Path, Any]], job: Job, report: Report, *, alone: bool) -> None:
    """The part that needs a model."""
    from auralsam2 import hub

    if not job.resume:  # else there may be nothing to do, and no model needed
        hub.check(job.model)
    import torch

    from auralsam2.model import AuralSAM2, check_modality, pick_device, pick_dtype, result_folder
    from auralsam2.outputs.folder import is_complete

    if job.threads is not None:
        torch.set_num_threads(job.threads)
    dtype = pick_dtype(job.dtype, pick_device(job.device))
    waiting = []
    for video, source in sources:
        folder = result_folder(job.out, video)
        if job.resume and is_complete(folder, job.options(video, dtype)):
            report.skipped(video, folder)
        else:
            waiting.append((video, source))
    if not waiting:
        return
    report.note(f"loading model {job.model}")
    model = AuralSAM2.from_pretrained(job.model, job.device, job.dtype)
    check_modality(model.config, job.prompts, job.model)
    for video, source in waiting:
        try:
            result = model.segment_source(source, job.prompts)
            with report.progress(video, source) as on_frame:
                folder = result.save(job.out, save=job.save, options=job.options(video, dtype), on_frame=on_frame)
            report.done(video, folder, result.warnings)
        except AuralError as error:
            report.failed(video, error, alone=alone)


class Report:
    """Tells the user: progress, notes and errors on stderr, JSON on stdout."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.failures = 0

    def note(self, text: str) -> None:
        """A line of news."""
        if not self._job.quiet:
            print(message_line("", text), file=sys.stderr)

    def failed(self, video: Path, error: AuralError, *, alone: bool) -> None:
        """An input failed; the error of an only one is raised, and decides on the exit code."""
        self._line({"input": str(video), "status": "failed", "error": str(error)})
        if alone:
            raise error
        self.failures += 1
        print(message_line("error", error), file=sys.stderr)

    def skipped(self, video: Path, folder: Path) -> None:
        """An input was done before."""
        self.note(f"{video}: done before, skipped")
        self._line({"input": str(video), "status": "skipped", "output": str(folder)})

    def done(self, video: Path, folder: Path, warnings: list[str]) -> None:
        """An input is done."""
        for warning in warnings:
            print(message_line("warning", f"{video}: {warning}"), file=sys.stderr)
        self.note(f"{video}: written to {folder}")
        line: dict[str, Any] = {"input": str(video), "status": "done", "output": str(folder), "warnings": warnings}
        if self._job.as_json and "json" in self._job.save:
            from auralsam2.outputs.json_stream import read_object

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
        """A context with a bar on a terminal; gives the function to call after each frame."""
        from auralsam2.apps.progress import frames_bar

        info = source.info
        span = max(0.0, min(source.end or info.duration, info.duration) - source.start)
        total = round(span * (source.fps or info.fps)) or None
        return frames_bar(video.name, total, shown=not self._job.quiet)

    def _line(self, values: dict[str, Any]) -> None:
        if self._job.as_json:
            print(json.dumps(values), flush=True)
