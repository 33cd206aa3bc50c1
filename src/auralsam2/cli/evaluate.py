"""`auralsam2 evaluate`: scores of a model on a split of a data set."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from auralsam2.cli import options as parsing
from auralsam2.cli.options import (
    BackendOption,
    DatasetOption,
    DeviceOption,
    DtypeOption,
    ImageSizeOption,
    ModelOption,
    ThreadsOption,
)
from auralsam2.errors import EXIT_DONE, EXIT_SOME_FAILED, UsageError, message_line
from auralsam2.evaluation.options import (
    COMBINES,
    INNERMOST,
    POINTS,
    PROMPTS,
    PROTOCOLS,
    SELECTS,
    SOUNDS,
    EvaluationOptions,
)

EXAMPLES = """
Examples:

\b
  auralsam2 evaluate --dataset v1m --root AVSBench --split test --model v1m --report v1m.json
  auralsam2 evaluate --dataset v1m --root AVSBench --split test --prompts audio+points+box
  auralsam2 evaluate --dataset ref-avs --root REFAVS --split test_n --model ref-avs
  auralsam2 evaluate --dataset stampavs --root stamp --split val --sound shuffled
  auralsam2 evaluate --dataset v2-semantic --root AVSBench --split test --namer runs/v2/best
"""


def evaluate_command(
    dataset: DatasetOption,
    root: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the data set.")],
    split: Annotated[str, typer.Option(metavar="NAME", help="Split, by its published name.")],
    model: ModelOption = "mini",
    prompts: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help=f"Prompts of the model: {parsing.join(PROMPTS)}. Points, boxes and masks are simulated from the "
            "ground truth. Default: audio, and text where model and data set have it.",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help=f"{parsing.join(PROTOCOLS)}. Default: the protocol of the published figures."
        ),
    ] = None,
    select: Annotated[
        str, typer.Option(metavar="|".join(SELECTS), help="How to select one of the three candidate masks.")
    ] = "iou",
    combine: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help="How to combine sound with points and box: joint, in one call of the mask decoder, or by merging two "
            f"masks: {parsing.join(COMBINES[1:])}.",
        ),
    ] = "joint",
    sound: Annotated[
        str, typer.Option(metavar="|".join(SOUNDS), help="Sound of each clip, as a control condition.")
    ] = "own",
    points: Annotated[
        str,
        typer.Option(
            metavar=f"N|{INNERMOST}",
            help="Points of the prompts: N drawn from the true mask of the first frame with a target, or its innermost "
            "pixel.",
        ),
    ] = str(POINTS),
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Seed of the points, of shuffled sound and of the intervals.")
    ] = 0,
    zero_shot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.yaml",
            help="Evaluate a zero-shot pipeline: the audio tagger and detector of this file, and SAM 2 of the model.",
        ),
    ] = None,
    namer: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Predict the classes of v2-semantic or stampavs-semantic by a second stage or an object namer, as "
            "training writes them. "
            "Default: classes are those of the labels.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Score only the first N samples.")] = None,
    save_masks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the masks as DIR/ID/FRAME.png, at the frames' size.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write a report; resume an interrupted run.")
    ] = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    backend: BackendOption = "torch",
    image_size: ImageSizeOption = None,
    threads: ThreadsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Evaluate a model on a data set: J, F and further scores, beside the published figures.

    A sample that cannot be read is excluded and listed; the exit code is then 1.
    """
    options = EvaluationOptions(
        dataset=dataset,
        split=split,
        prompts=prompts or "audio",
        protocol=protocol,
        select=select,
        combine=combine,
        sound=sound,
        points=None if points == INNERMOST else parsing.parse_count("--points", points, INNERMOST),
        limit=limit,
        seed=seed,
    )
    device, dtype = parsing.parse_device(device), parsing.parse_dtype(dtype)
    backend = parsing.parse_backend(backend)
    if not root.is_dir():
        raise UsageError(f"`root={root}`: no such folder")
    if report is not None and report.is_dir():
        raise UsageError(f"`report={report}` is a folder: name a file")
    if namer is not None:
        _check_namer(namer, dataset, zero_shot)
    if zero_shot is not None:
        _check_zero_shot(zero_shot, options)
    from auralsam2.data import open_dataset
    from auralsam2.evaluation.options import check_listing
    from auralsam2.hub import download

    listing = open_dataset(dataset, root).listing(split)
    _note(f"{dataset} {split}: {len(listing.samples)} samples")
    for problem in listing.problems:
        print(message_line("warning", problem), file=sys.stderr)
    check_listing(listing, options)
    download.check_available(model)
    import torch

    from auralsam2.cli.progress import frame_progress
    from auralsam2.data.load import load_clip
    from auralsam2.evaluation import run
    from auralsam2.evaluation.predictor import AuralPredictor
    from auralsam2.evaluation.report import journal_path
    from auralsam2.evaluation.tables import table_lines
    from auralsam2.model import AuralSAM2
    from auralsam2.utils.devices import check_backend, check_image_size, pick_device, pick_dtype

    pipeline_config = None
    if zero_shot is not None:
        from auralsam2.zero_shot.pipeline_config import ZeroShotConfig
        from auralsam2.zero_shot.predictor import ZeroShotPredictor

        pipeline_config = ZeroShotConfig.load(zero_shot)
    check_backend(backend, pick_device(device))
    pick_dtype(dtype, pick_device(device))
    check_image_size(image_size)
    if threads is not None:
        torch.set_num_threads(threads)
    _note(f"loading model {model}")
    loaded = AuralSAM2.from_pretrained(model, device, dtype, backend=backend, image_size=image_size)
    if pipeline_config is not None:
        predictor = ZeroShotPredictor(pipeline_config.pipeline(loaded), options)
    else:
        has_text = all(sample.expression is not None for sample in listing.samples)
        if prompts is None and has_text and loaded.network.text_encoder is not None:
            options = replace(options, prompts="audio+text")
        predictor = AuralPredictor(loaded, options)
        if namer is not None:
            from auralsam2.evaluation.named_predictor import named_predictor

            predictor = named_predictor(predictor, namer)
    if report is not None and (journal := journal_path(report)).exists():
        _note(f"resuming from {journal}")
    total = len(listing.samples[:limit])
    with frame_progress(f"{dataset} {split}", total, shown=True) as advance:

        def on_sample(row: dict[str, Any]) -> None:
            if "error" in row:
                print(message_line("warning", f"excluded {row['id']}: {row['error']}"), file=sys.stderr)
            advance(row)

        evaluation = run.evaluate(
            predictor,
            listing,
            options,
            load=load_clip,
            report=report,
            masks=save_masks,
            on_sample=on_sample,
        )
    if as_json:
        print(json.dumps({"model": evaluation.model, "options": options.as_json(), **evaluation.as_json()}))
    else:
        print("\n".join(table_lines(evaluation)))
    if report is not None:
        _note(f"report written to {report}")
    raise typer.Exit(EXIT_SOME_FAILED if evaluation.excluded or evaluation.left_out else EXIT_DONE)


def _check_namer(namer: Path, dataset: str, zero_shot: Path | None) -> None:
    """Raise UsageError for a missing folder, and for options that do not go with a namer."""
    if not namer.is_dir():
        raise UsageError(f"`namer={namer}`: no such folder")
    from auralsam2.data.class_names import CLASS_NAMES

    if dataset not in CLASS_NAMES:
        names = " or ".join(f"`dataset={name}`" for name in CLASS_NAMES)
        raise UsageError(f"`namer={namer}`: {dataset} has no classes: use {names}")
    if zero_shot is not None:
        raise UsageError(f"`namer={namer}` takes the features of the model: leave out `zero_shot`")


def _check_zero_shot(path: Path, options: EvaluationOptions) -> None:
    """Raise UsageError for a missing file, and for options that the zero-shot pipeline does not use."""
    from auralsam2.samples import find_recipe

    find_recipe(path, "zero-shot")
    if options != replace(options, prompts="audio", select="iou", combine="joint", sound="own", points=POINTS):
        raise UsageError(
            "`zero_shot` finds sounding objects by its own models: leave out `prompts`, `select`, `combine` and `sound`"
        )


def _note(text: str) -> None:
    print(message_line("", text), file=sys.stderr)
