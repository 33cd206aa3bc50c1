"""One video after another by one model: the unit of work of `auralsam2 segment`, in one process or in many."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from auralsam2.config import NAMER_FOLDER
from auralsam2.errors import AuralError, InputError, UnavailableError, UsageError
from auralsam2.outputs.formats import OUTPUT_FILES
from auralsam2.paths import VIDEO_EXTENSIONS
from auralsam2.types import Prompts

if TYPE_CHECKING:
    from auralsam2.inference.video_source import VideoSource
    from auralsam2.model import AuralSAM2
    from auralsam2.outputs.postprocessing import PostProcessing
    from auralsam2.outputs.remote_folder import RemoteFolder
    from auralsam2.outputs.result_folder import OverlayRate
    from auralsam2.utils.devices import Backend

Progress = Callable[[Path, Any], AbstractContextManager[Callable[[Any], None]]]
"""Takes a video and its source; the context yields a function to call after each frame."""


@dataclass(frozen=True, kw_only=True)
class SegmentOptions:
    """Parsed options of the command, common to all inputs.

    Attributes:
        model: name, folder or hub id.
        out: parent of one result folder for each input; with `remote`, a temporary folder.
        remote: parent of the result folders on a remote file system; None for `out` itself.
        prompts: points, boxes, masks and text.
        audio: `track`, `none` or a file.
        audio_source: address that the sound file was copied from.
        audio_track: number or language of the sound track; None for the default one.
        fps: frames per second, or None for all.
        start, end: part of each input in seconds.
        save: formats.
        overlay_rate: `processed` or `source`.
        postprocessing: steps of post-processing.
        separate: make each sounding source an object of its own.
        names: name objects by the namer of the model, or by that of a folder.
        model_reason: why the model was chosen, if the user named none.
        device, dtype, backend: names as on the command line.
        image_size: side of the network's input in pixels; None for the model's own.
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
    postprocessing: PostProcessing
    device: str
    dtype: str
    backend: Backend
    image_size: int | None
    threads: int | None
    resume: bool
    as_json: bool
    quiet: bool
    separate: bool = False
    names: bool | Path = False
    model_reason: str = ""
    remote: RemoteFolder | None = None
    audio_source: str = ""

    def open(self, video: Path, name: str = "") -> VideoSource:
        """Probe a video and check the options against it.

        Args:
            video: the file.
            name: of a source that was copied to the file.

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
            name=name,
        )

    def options(self, request: str, dtype: str) -> dict[str, Any]:
        """Return the `options` of `result.json`: those of the command, and the hash of the request."""
        return {
            "request": request,
            "model": self.model,
            "prompts": self.prompts.as_dict(),
            "audio": self.audio_source or self.audio,
            "audio_track": self.audio_track,
            "fps": "all" if self.fps is None else self.fps,
            "start": self.start,
            "end": self.end,
            "dtype": dtype,
            "backend": self.backend,
            "image_size": self.image_size,
            "save": sorted(self.save),
            "overlay_rate": self.overlay_rate,
            "postprocessing": asdict(self.postprocessing),
        }


@dataclass(frozen=True, kw_only=True)
class VideoTask:
    """One video of a run.

    Attributes:
        video: the file.
        name: name of its result folder in `options.out`.
        options: options of this video.
        source: name of a source that was copied to the file.
        identity: text that identifies the content of the source; None for the file itself.
    """

    video: Path
    name: str
    options: SegmentOptions
    source: str = ""
    identity: str | None = None

    @property
    def label(self) -> str:
        """Name of the input in messages."""
        return self.source or str(self.video)

    @property
    def folder(self) -> Path:
        """Result folder; with a remote file system, a temporary one."""
        return self.options.out / self.name

    @property
    def place(self) -> str:
        """Path or address of the results."""
        remote = self.options.remote
        return str(self.folder) if remote is None else remote.address(self.name)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of one video.

    Attributes:
        status: `done`, or `skipped` where the results were complete.
        warnings: warnings about the result, one line each.
    """

    status: Literal["done", "skipped"]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RowResult:
    """Outcome of a row, as a worker process returns it.

    Attributes:
        status: `done`, `skipped`, `failed`, or `locked` where another run writes the results.
        place: path or address of the results.
        warnings: warnings about the result.
        error: reason of a failure.
        fatal: error that ends the run, such as a full disk.
    """

    status: str
    place: str | None = None
    warnings: tuple[str, ...] = ()
    error: str = ""
    fatal: AuralError | None = None


class VideoWorker:
    """Segments videos with one model, which is loaded when the first video needs it.

    Args:
        options: model, device, precision and threads of the run.
        began: start of the run, in seconds since the epoch. Results that another run with an equal request has written
            since then count as complete even without `resume`.

    Attributes:
        dtype: precision of the computation: fp32, bf16 or fp16.

    Raises:
        AuralError: the model is not available, or device or precision are not.
    """

    def __init__(self, options: SegmentOptions, *, began: float) -> None:
        from auralsam2.hub import download

        download.check_available(options.model)
        download.check_text(options.model, options.prompts.texts)
        import torch

        from auralsam2.model_context import check_modality
        from auralsam2.utils.devices import check_backend, check_image_size, pick_device, pick_dtype

        if options.threads is not None:
            torch.set_num_threads(options.threads)
        self._options, self._began = options, began
        device = pick_device(options.device)
        check_backend(options.backend, device)
        check_image_size(options.image_size)
        self._config, self._weights, image_size = _fetch(options.model)
        self.dtype = pick_dtype(options.dtype, device, options.image_size or image_size)
        self._check_modality = check_modality
        self._model: AuralSAM2 | None = None

    def skips(self, task: VideoTask) -> bool:
        """Return whether the results of a video are complete."""
        return self._is_done(task, self._request(task))

    def skip(self, task: VideoTask) -> bool:
        """Return whether the results of a video are complete; if so, remove what killed runs have left beside them."""
        from auralsam2.utils.atomic_io import remove_leftovers

        complete = self.skips(task)
        if complete and task.options.remote is None:
            remove_leftovers(task.folder)
        return complete

    def load(self) -> AuralSAM2:
        """Return the model; the first call loads it.

        Raises:
            AuralError: it cannot be loaded.
        """
        from auralsam2.model import AuralSAM2, streaming_network

        if self._model is None:
            options = self._options
            model = AuralSAM2.from_pretrained(
                options.model,
                options.device,
                options.dtype,
                backend=options.backend,
                image_size=options.image_size,
            )
            streaming_network(model)
            if _fetch(options.model)[1] != self._weights:
                raise UnavailableError(
                    f"model {options.model}: changed while it was loaded; run again once it is complete"
                )
            self._model = model
        return self._model

    def check_prompts(self, prompts: Prompts) -> None:
        """Check that the model takes the prompts.

        Raises:
            UsageError: there is text, and it reads none.
        """
        self._check_modality(self._config, prompts, self._options.model)

    def segment(self, task: VideoTask, progress: Progress) -> Outcome | None:
        """Segment a video unless its results are complete; None where another run has locked its folder.

        Raises:
            AuralError: the video cannot be used, or its results cannot be written.
        """
        from auralsam2.model import VideoSegmentation
        from auralsam2.utils.atomic_io import claim

        options = task.options
        with ExitStack() as stack:
            if not stack.enter_context(claim(task.folder)):
                return None
            request = self._request(task)
            if self._is_done(task, request):  # another run has completed it
                return Outcome(status="skipped")
            self.check_prompts(options.prompts)
            source = options.open(task.video, task.source)  # again: the file may have changed since the first check
            model = self.load()
            namer = model.namer(options.names)
            if options.remote is not None:
                stack.callback(shutil.rmtree, task.folder, ignore_errors=True)
            result = VideoSegmentation(model, source, options.prompts, separate=options.separate, namer=namer)
            with progress(task.video, source) as on_frame:
                result.save(
                    options.out,
                    name=task.name,
                    save=options.save,
                    overlay_rate=options.overlay_rate,
                    postprocessing=options.postprocessing,
                    options=options.options(request, self.dtype),
                    on_frame=on_frame,
                )
            if options.remote is not None:
                options.remote.publish(task.folder, task.name)
        return Outcome(status="done", warnings=tuple(result.warnings))

    def _request(self, task: VideoTask) -> str:
        from auralsam2.outputs.request import request_hash

        options = task.options
        return request_hash(
            task.video,
            weights=self._weights,
            prompts=options.prompts,
            audio=options.audio,
            audio_track=options.audio_track,
            fps=options.fps,
            start=options.start,
            end=options.end,
            dtype=self.dtype,
            backend=options.backend,
            image_size=options.image_size,
            save=options.save,
            overlay_rate=options.overlay_rate,
            postprocessing=options.postprocessing,
            separate=options.separate,
            namer=self._namer_hash(options.names),
            identity=task.identity,
        )

    def _namer_hash(self, names: bool | Path) -> str | None:
        """Return the hash of the namer's weights; None without names or without a namer."""
        from auralsam2.hub import download
        from auralsam2.utils.weights import WEIGHTS_FILE, file_hash

        if names is False:
            return None
        folder = download.resolve(self._options.model) / NAMER_FOLDER if names is True else names
        file = folder / WEIGHTS_FILE
        return file_hash(file) if file.is_file() else None

    def _is_done(self, task: VideoTask, request: str) -> bool:
        from auralsam2.outputs.result_folder import is_complete

        remote = task.options.remote
        if remote is not None:
            return task.options.resume and remote.is_complete(task.name, request, task.options.save)
        if not task.options.resume:
            try:
                if (task.folder / OUTPUT_FILES["json"]).stat().st_mtime < self._began:
                    return False
            except OSError:
                return False
        return is_complete(task.folder, request, task.options.save)


def check_resume(job: SegmentOptions) -> None:
    """Check that complete results can be recognised.

    Raises:
        UsageError: they are to be skipped, and `result.json` is not written.
    """
    if job.resume and "json" not in job.save:
        raise UsageError("--resume needs json in --save: result.json records complete results")


def _fetch(model: str) -> tuple[Any, str, int]:
    """Fetch all parts of a model; returns its configuration, the hash of its weights, and its image size."""
    from auralsam2.config import ModelConfig
    from auralsam2.hub import download

    folder = download.resolve(model)
    config = ModelConfig.load(folder)
    sam2 = download.fetch_sam2(config.sam2, folder)
    if config.text is not None:
        download.fetch_text(config.text, folder)
    return config, download.weights_hash(folder), config.image_size or download.sam2_image_size(sam2)
