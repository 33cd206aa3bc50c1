"""`auralsam2 evaluate`: a model on a split of a data set, as a table or as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from auralsam2.errors import EXIT_DONE, EXIT_SOME_FAILED, UsageError, message_line
from auralsam2.evaluation.options import EvaluationOptions
from auralsam2.samples import find_recipe


@dataclass(frozen=True, kw_only=True)
class Job:
    """Where things are, and on what the model runs.

    Attributes:
        root: folder of the data set.
        model: name, folder or hub id.
        zero_shot: file of a zero-shot pipeline, which finds what sounds in the place of the model; None for none.
        report: the JSON file to write, None for none.
        masks: folder for the masks, None for none.
        device, dtype: as on the command line.
        threads: of the CPU; None leaves it to torch.
        as_json: print one JSON object instead of the table.
    """

    root: Path
    model: str
    zero_shot: Path | None
    report: Path | None
    masks: Path | None
    device: str
    dtype: str
    threads: int | None
    as_json: bool


def run_evaluation(options: EvaluationOptions, job: Job, *, prompts_given: bool) -> int:
    """Evaluate; returns the exit code.

    Args:
        options: what is scored, and how.
        job: where and on what.
        prompts_given: the user chose the prompts; otherwise a model that reads text reads it where the data have some.

    Raises:
        AuralError: nothing could be scored.
    """
    if not job.root.is_dir():
        raise UsageError(f"--root {job.root}: no such folder")
    if job.report is not None and job.report.is_dir():
        raise UsageError(f"--report {job.report} is a folder: name a file")
    if job.zero_shot is not None:
        _check_zero_shot(job.zero_shot, options)
    from auralsam2.data import open_dataset
    from auralsam2.evaluation.options import check_listing
    from auralsam2.hub import download

    listing = open_dataset(options.dataset, job.root).listing(options.split)
    _note(f"{options.dataset} {options.split}: {len(listing.samples)} samples")
    for problem in listing.problems:
        print(message_line("warning", problem), file=sys.stderr)
    check_listing(listing, options)
    download.check(job.model)
    import torch

    from auralsam2.cli.progress import frame_progress
    from auralsam2.data.load import load_clip
    from auralsam2.evaluation.predictor import AuralPredictor
    from auralsam2.evaluation.report import journal_path
    from auralsam2.evaluation.run import evaluate
    from auralsam2.evaluation.tables import table_lines
    from auralsam2.model import AuralSAM2, pick_device, pick_dtype

    roles = None
    if job.zero_shot is not None:
        from auralsam2.zero_shot.pipeline_config import ZeroShotConfig
        from auralsam2.zero_shot.predictor import ZeroShotPredictor

        roles = ZeroShotConfig.load(job.zero_shot)
    pick_dtype(job.dtype, pick_device(job.device))
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    _note(f"loading model {job.model}")
    model = AuralSAM2.from_pretrained(job.model, job.device, job.dtype)
    says = all(sample.expression is not None for sample in listing.samples)
    if roles is not None:
        predictor = ZeroShotPredictor(roles.pipeline(model), options)
    else:
        if not prompts_given and says and model.network.text_encoder is not None:
            options = replace(options, prompts="audio+text")
        predictor = AuralPredictor(model, options)
    if job.report is not None and (journal := journal_path(job.report)).exists():
        _note(f"going on after the rows of {journal}")
    total = len(listing.samples[: options.limit])
    with frame_progress(f"{options.dataset} {options.split}", total, shown=True) as advance:

        def on_sample(row: dict[str, Any]) -> None:
            if "error" in row:
                print(message_line("warning", f"excluded {row['id']}: {row['error']}"), file=sys.stderr)
            advance(row)

        evaluation = evaluate(
            predictor,
            listing,
            options,
            load=load_clip,
            report=job.report,
            masks=job.masks,
            on_sample=on_sample,
        )
    if job.as_json:
        print(json.dumps({"model": evaluation.model, "options": options.as_json(), **evaluation.as_json()}))
    else:
        print("\n".join(table_lines(evaluation)))
    if job.report is not None:
        _note(f"report written to {job.report}")
    return EXIT_SOME_FAILED if evaluation.excluded or evaluation.left_out else EXIT_DONE


def _check_zero_shot(path: Path, options: EvaluationOptions) -> None:
    """Raise UsageError for a missing file, and for options that the zero-shot pipeline does not read."""
    find_recipe(path, "zero-shot")
    own = replace(options, prompts="audio", select="iou", combine="joint", sound="own")
    if options != own:
        raise UsageError(
            "--zero-shot finds what sounds by roles of its own: leave out --prompts, --select, --combine and --sound"
        )


def _note(text: str) -> None:
    print(message_line("", text), file=sys.stderr)
