"""`auralsam2 segment`: masks, overlays and JSON of the sounding objects of videos."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from auralsam2.batch.run_options import Engine, RunOptions
from auralsam2.cli import options
from auralsam2.cli.options import (
    AudioTrackOption,
    BackendOption,
    DeviceOption,
    DtypeOption,
    FeatherOption,
    FillHolesOption,
    FpsOption,
    GrowOption,
    ImageSizeOption,
    MinAreaOption,
    SmoothOption,
    ThreadsOption,
)
from auralsam2.cli.prompt_options import grouped_prompts, join_prompts, read_prompts
from auralsam2.cli.segment_batch import BatchReport, segment_all
from auralsam2.cli.segment_inputs import list_inputs
from auralsam2.cli.segment_worker import SegmentOptions, VideoTask, VideoWorker, check_resume
from auralsam2.errors import EXIT_DONE, EXIT_SOME_FAILED, UsageError
from auralsam2.outputs.formats import OUTPUT_FILES
from auralsam2.paths import is_address

if TYPE_CHECKING:
    from auralsam2.outputs.remote_folder import RemoteFolder

EXAMPLES = """
Examples:

\b
  auralsam2 segment dog.mp4                           sounding objects, one frame per second
  auralsam2 segment dog.mp4 --fps all --out results   every frame
  auralsam2 segment party.mp4 --model ref-avs --text "the dog on the left"
  auralsam2 segment silent.mp4 --point 320,180        no sound: follow the clicked object
  auralsam2 segment party.mp4 --object 1 --point 320,180 --object 2 --box 20,20,90,80@1.5
  auralsam2 segment archive/ --resume --json          a whole folder; resume an interrupted run
  auralsam2 segment --manifest clips.csv --jobs 4     many videos in four processes
"""


def segment(
    ctx: typer.Context,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="Videos, folders of videos, a folder of pictures, addresses (https://…, s3://…), or - for stdin.",
            show_default=False,
        ),
    ] = None,
    model: options.CachedModelOption = None,
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results, or its address (s3://…).")
    ] = "out",
    text: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Referring expression, for models that take text.")
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y[,+|-][@SECONDS]", help="Positive (+) or negative (-) click. May be repeated."),
    ] = None,
    box: Annotated[
        list[str] | None, typer.Option(metavar="X0,Y0,X1,Y1[@SECONDS]", help="Box around the object.")
    ] = None,
    mask: Annotated[
        list[str] | None, typer.Option(metavar="PNG[#VALUE][@SECONDS]", help="Mask of the object, of the video's size.")
    ] = None,
    object_id: Annotated[
        list[int] | None,
        typer.Option(
            "--object", metavar="ID", min=1, help="Object of the prompts that follow, beside the sounding ones."
        ),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON file with prompts; see docs/guide/segment.md.")
    ] = None,
    separate: Annotated[
        bool, typer.Option("--separate", help="Make each sounding source that can be told apart an object of its own.")
    ] = False,
    names: Annotated[
        bool, typer.Option("--names", help="Name the category of each object, by the namer of the model.")
    ] = False,
    namer: Annotated[Path | None, typer.Option(metavar="DIR", help="Name the objects by this namer instead.")] = None,
    audio: Annotated[
        str | None, typer.Option(metavar="FILE|none", help="Use the sound of this file, or no sound.")
    ] = None,
    audio_track: AudioTrackOption = None,
    fps: FpsOption = "1",
    start: Annotated[str, typer.Option(metavar="S|M:S", help="Start, in seconds.")] = "0",
    end: Annotated[
        str | None,
        typer.Option(metavar="S|M:S", help="End, in seconds; default: end of the video."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="N", help="Pictures per second, for a folder of pictures.")
    ] = None,
    recursive: Annotated[bool, typer.Option(help="Search folders inside folders.")] = True,
    save: Annotated[
        str, typer.Option(metavar="LIST", help=f"Files to write, of {','.join(OUTPUT_FILES)}.")
    ] = "overlay,masks,json",
    overlay_rate: Annotated[
        str,
        typer.Option(metavar="processed|source", help="Frames of the overlay: the segmented ones, or all."),
    ] = "processed",
    smooth: SmoothOption = 1,
    fill_holes: FillHolesOption = False,
    min_area: MinAreaOption = 0,
    grow: GrowOption = 0.0,
    feather: FeatherOption = 0.0,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    backend: BackendOption = "torch",
    image_size: ImageSizeOption = None,
    threads: ThreadsOption = None,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--no-resume", help="Skip inputs whose results are complete; the default with --manifest."
        ),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV, JSONL or Parquet with a video in each row; see docs/guide/archive.md."),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(metavar="local|ray", help="Run on this machine, or on a Ray cluster; see docs/guide/archive.md."),
    ] = "local",
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="Worker processes.")] = 1,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Part I of N of the inputs, for job arrays.")] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most N inputs.")] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout-per-video", metavar="S", min=0.001, help="Give an input up after S seconds."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the inputs; segment nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per input on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")] = False,
) -> None:
    """Segment the sounding objects of videos.

    Writes DIR/NAME/ for each input: overlay.mp4, masks/, result.json, and the other formats of --save.
    Points are pixels of the displayed frame. Times are seconds.
    """
    begin, stop = options.parse_span(start, end)
    combined = grouped_prompts(
        ctx.meta, object_id=object_id or (), point=point or (), box=box or (), mask=mask or (), text=text or ()
    )
    if prompts is not None:
        combined = join_prompts(combined, read_prompts(prompts))
    reason = ""
    if model is None:
        model, reason = _default_model(text=bool(combined.texts), names=names and namer is None)
    folders = ExitStack()
    ctx.call_on_close(folders.close)
    remote = remote_folder(out)
    job = SegmentOptions(
        model=model,
        model_reason=reason,
        out=Path(out) if remote is None else Path(folders.enter_context(TemporaryDirectory(prefix="auralsam2-"))),
        remote=remote,
        prompts=combined,
        audio=options.parse_audio(audio),
        audio_track=options.parse_audio_track(audio_track),
        fps=options.parse_rate(fps),
        start=begin,
        end=stop,
        separate=separate,
        names=names if namer is None else namer,
        save=options.parse_outputs(save),
        overlay_rate=options.parse_choice("--overlay-rate", overlay_rate, ("processed", "source")),
        postprocessing=options.parse_postprocessing(
            smooth=smooth, fill_holes=fill_holes, min_area=min_area, grow=grow, feather=feather
        ),
        device=options.parse_device(device),
        dtype=options.parse_dtype(dtype),
        backend=options.parse_backend(backend),
        image_size=image_size,
        threads=threads,
        resume=manifest is not None if resume is None else resume,
        as_json=as_json,
        quiet=quiet,
    )
    run = RunOptions(
        engine=options.parse_choice("--engine", engine, get_args(Engine)),
        jobs=jobs,
        shard=options.parse_shard(shard),
        limit=limit,
        timeout=timeout,
        dry_run=dry_run,
    )
    from auralsam2.batch.manifest import Manifest, ManifestRow
    from auralsam2.cli.segment_manifest import segment_rows

    if rate is not None and (manifest is not None or run != RunOptions()):
        raise UsageError("--rate is for folders of pictures: --manifest, --jobs, --shard and the like take none")
    if manifest is not None:
        if inputs:
            raise UsageError("--manifest names the videos: leave INPUT out")
        rows: Iterable[ManifestRow] = Manifest(manifest)
    elif not inputs:
        raise UsageError("give a video, a folder of videos, or --manifest FILE")
    elif run == RunOptions():
        raise typer.Exit(segment_inputs(inputs, job, rate=rate, recursive=recursive))
    else:
        listed = list_inputs(inputs, recursive=recursive).inputs
        if copied := next((one for one in listed if one.copied and not is_address(one.text)), None):
            raise UsageError(f"{copied.text}: --jobs, --shard, --limit and the like take files: leave them out")
        rows = [ManifestRow(number=number, uri=one.text, id=one.name) for number, one in enumerate(listed, start=1)]
    raise typer.Exit(segment_rows(rows, job, run, signature(segment).parameters))


def _default_model(*, text: bool, names: bool) -> tuple[str, str]:
    """Choose the model; returns its name, and a sentence that says why, and how to get another one."""
    from auralsam2.hub.model_choice import BUNDLED, PREFERRED, WITH_TEXT, choose_model

    model, wanted = choose_model(text=text, names=names), WITH_TEXT if text else PREFERRED
    if model != BUNDLED:
        return model, f"{model} is a released model in the cache; --model {BUNDLED} takes the small one of the package"
    if names:
        return model, f"{model} is the default with --names, as released models have no namer"
    return model, (
        f"{model} is the default without {' or '.join(wanted)} in the cache; for real videos a released model is "
        f"better: --model {wanted[-1]} downloads it once"
    )


def segment_inputs(inputs: list[str], job: SegmentOptions, *, rate: float | None = None, recursive: bool = True) -> int:
    """Segment all inputs; returns the exit code.

    An exception concerns the input that it occurs in, and the next input follows. An interrupt, a full disk and a model
    that cannot be loaded end the run. Several runs may share one output folder: an input that another run has locked is
    tried again at the end. Inputs that are copied to temporary files come last, one copy at a time.

    Raises:
        AuralError: nothing could be done at all: arguments, the only input, the model, or a full disk.
    """
    from auralsam2.media.sources import media_file

    began = time.time()
    check_resume(job)
    found = list_inputs(inputs, recursive=recursive)
    alone = len(inputs) == len(found.inputs) == 1 and inputs[0] == found.inputs[0].text
    if rate is not None and not any(one.copied and _is_folder(one.text) for one in found.inputs):
        raise UsageError("`rate` is for folders of pictures, and no input is one: leave it out")
    report = BatchReport(job, signature(segment).parameters, alone=alone)
    for note in found.notes:
        report.note(note)
    usable: list[VideoTask] = []
    for one in found.inputs:
        if not one.copied:
            with report.failures_of(one.text):
                job.open(Path(one.text))
                usable.append(VideoTask(video=Path(one.text), name=one.name, options=job))
    worker: VideoWorker | None = None
    if usable:
        worker = VideoWorker(job, began=began)
        _segment(usable, job, worker, report)
    for one in found.inputs:
        if one.copied:
            with report.failures_of(one.text):
                if rate is None and _is_folder(one.text):
                    raise UsageError(f"{one.text}: a folder of pictures: give `rate`, pictures per second")
                with media_file(one.text, rate=rate if _is_folder(one.text) else None) as video:
                    job.open(video, one.text)
                    worker = worker or VideoWorker(job, began=began)
                    task = VideoTask(video=video, name=one.name, options=job, source=one.text)
                    _segment([task], job, worker, report)
    return EXIT_SOME_FAILED if report.failures else EXIT_DONE


def remote_folder(out: str) -> RemoteFolder | None:
    """Return the remote file system of an address; None for a folder of this machine.

    Raises:
        UsageError: the text is empty.
        OutputError: the file system is unknown, or cannot be reached.
    """
    if not out:
        raise UsageError("--out is empty: give a folder or an address")
    if not is_address(out):
        return None
    from auralsam2.outputs.remote_folder import RemoteFolder

    remote = RemoteFolder(uri=out.rstrip("/"))
    remote.check()
    return remote


def _is_folder(text: str) -> bool:
    return text != "-" and not is_address(text)


def _segment(tasks: list[VideoTask], job: SegmentOptions, worker: VideoWorker, report: BatchReport) -> None:
    """Segment the inputs that passed the first check, of which those that are done are skipped."""
    pending = []
    for task in tasks:
        with report.failures_of(task.label):
            if worker.skip(task):
                report.skipped(task.label, task.place)
            else:
                pending.append(task)
    if pending:
        worker.check_prompts(job.prompts)
        report.note(f"loading model {job.model} in {worker.dtype}")
        if job.model_reason:
            report.note(job.model_reason)
        worker.load()
        segment_all(pending, worker, report)
