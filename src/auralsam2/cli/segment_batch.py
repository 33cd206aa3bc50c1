"""Options, locks and reports of `auralsam2 segment`, for all its inputs together."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auralsam2.cli.options import error_text
from auralsam2.errors import DiskFullError, InputError, OutputError, as_aural, message_line
from auralsam2.outputs.formats import OUTPUT_FILES
from auralsam2.types import Prompts

if TYPE_CHECKING:
    from auralsam2.inference.video_source import VideoSource
    from auralsam2.outputs.result_folder import OverlayRate

_log = logging.getLogger(__name__)

_EXTENSIONS = ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .mts .m2ts .flv .wmv .ogv .3gp .gif"
VIDEO_EXTENSIONS = frozenset(_EXTENSIONS.split(" "))
"""Suffixes of the files in a folder that count as videos."""
_POLL_SECONDS = 0.5
"""Pause before inputs that other runs have locked are tried again."""


@dataclass(frozen=True, kw_only=True)
class SegmentOptions:
    """Parsed options of the command, common to all inputs.

    Attributes:
        model: name, folder or hub id.
        out: parent of one result folder for each input.
        prompts: points, boxes, masks and text.
        audio: `track`, `none` or a file.
        audio_track: number or language of the sound track; None for the default one.
        fps: frames per second, or None for all.
        start, end: part of each input in seconds.
        save: formats.
        overlay_rate: `processed` or `source`.
        device, dtype: names as on the command line.
        threads: number of CPU threads; None for the default of torch.
        resume: skip inputs whose results are complete.
        as_json: print one line of JSON for each input.
        quiet: print warnings and errors only.
    """

    model: str
    out: Path
    prompts: Prompts
    audio: Any
    audio_track: int | str | None
    fps: float | None
    start: float
    end: float | None
    save: frozenset[str]
    overlay_rate: OverlayRate
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
        return VideoSource.open(
            video,
            self.prompts,
            audio=self.audio,
            audio_track=self.audio_track,
            fps=self.fps,
            start=self.start,
            end=self.end,
        )

    def options(self, request: str, dtype: str) -> dict[str, Any]:
        """Return the `options` of `result.json`: those of the command, and the hash of the request."""
        return {
            "request": request,
            "model": self.model,
            "prompts": asdict(self.prompts),
            "audio": self.audio,
            "audio_track": self.audio_track,
            "fps": "all" if self.fps is None else self.fps,
            "start": self.start,
            "end": self.end,
            "dtype": dtype,
            "save": sorted(self.save),
            "overlay_rate": self.overlay_rate,
        }


class Batch:
    """The inputs of a run, and their locks.

    Args:
        job: options of the command.
        report: gets the outcome of each input.
        weights: hash of the model's weights.
        dtype: fp32, bf16 or fp16.
        began: start of this run, in seconds since the epoch. Results that another run with an equal request has
            written since then count as complete even without `resume`.
    """

    def __init__(self, job: SegmentOptions, report: BatchReport, *, weights: str, dtype: str, began: float) -> None:
        self._job, self._report = job, report
        self._weights, self._dtype, self._began = weights, dtype, began

    def segment_all(self, videos: list[Path], model: Any) -> None:
        """Segment videos in order, and those that other runs have locked once they are unlocked."""
        announced: set[Path] = set()
        while videos:
            locked = []
            for video in videos:
                with self._report.failures_of(video):
                    if not self._segment(video, model):
                        locked.append(video)
                        if video not in announced:
                            self._report.note(f"{video}: another run is writing its results; retried at the end")
                            announced.add(video)
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
        from auralsam2.model import VideoSegmentation
        from auralsam2.utils.atomic_io import claim

        job, folder = self._job, self._folder(video)
        with claim(folder) as held:
            if not held:
                return False
            if self.skips(video):  # another run has completed it
                return True
            request = self._request(video)
            source = job.open(video)  # again: the file may have changed since the first check
            result = VideoSegmentation(model, source, job.prompts)
            options = job.options(request, self._dtype)
            with self._report.progress(video, source) as on_frame:
                result.save(job.out, save=job.save, overlay_rate=job.overlay_rate, options=options, on_frame=on_frame)
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
            audio_track=job.audio_track,
            fps=job.fps,
            start=job.start,
            end=job.end,
            dtype=self._dtype,
            save=job.save,
            overlay_rate=job.overlay_rate,
        )

    def _is_done(self, video: Path, request: str) -> bool:
        from auralsam2.outputs.result_folder import is_complete

        folder = self._folder(video)
        if not self._job.resume:
            try:
                if (folder / OUTPUT_FILES["json"]).stat().st_mtime < self._began:
                    return False
            except OSError:
                return False
        return is_complete(folder, request, self._job.save)


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

    def skipped(self, video: Path, folder: Path) -> None:
        """Report an input whose results are complete already."""
        self.note(f"{video}: results are complete, skipped")
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
