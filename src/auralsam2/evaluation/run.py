"""Evaluate a predictor on a data set, clip by clip; resumable."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from auralsam2.data.class_names import CLASS_NAMES
from auralsam2.data.sample import LoadedClip, Sample
from auralsam2.errors import DiskFullError, InputError, OutOfMemoryError, UnexpectedError, UsageError, as_aural
from auralsam2.evaluation.aggregate import ScoreAggregator
from auralsam2.evaluation.audio_conditions import AudioConditions, Loader
from auralsam2.evaluation.clip_scores import score_clip
from auralsam2.evaluation.options import EvaluationOptions, ListingProtocol, check_listing
from auralsam2.evaluation.predictor import Predictor
from auralsam2.evaluation.report import EvaluationJournal, journal_path, save_masks, write_report
from auralsam2.utils.background import Prefetcher

_log = logging.getLogger(__name__)

SCHEMA = "auralsam2.evaluation/1"
AHEAD = 2
"""Number of prefetched clips."""
MEMORY_REMEDY = "use a smaller model or more memory"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Result of an evaluation.

    Attributes:
        options: its options.
        model: name of the predictor.
        numbers: `value`, `low`, `high`, `count` by name; see `ScoreAggregator.numbers`.
        scored: number of scored samples.
        excluded: samples that failed, with `id` and `error`.
        left_out: problems of samples that the data set leaves out.
        seconds: `total` of this run, and `model`, the time in the predictor.
    """

    options: EvaluationOptions
    model: str
    numbers: dict[str, dict[str, Any]]
    scored: int
    excluded: tuple[dict[str, str], ...]
    left_out: tuple[str, ...]
    seconds: dict[str, float]

    @property
    def overhead(self) -> float | None:
        """Time outside the predictor as a share of the time in it; None if no sample was predicted."""
        model = self.seconds["model"]
        return (self.seconds["total"] - model) / model if model else None

    def as_json(self) -> dict[str, Any]:
        """Return the members of a report beside options and rows."""
        return {
            "scored": self.scored,
            "summary": self.numbers,
            "excluded": list(self.excluded),
            "left_out": list(self.left_out),
            "seconds": self.seconds,
            "overhead": self.overhead,
        }


def evaluate(
    predictor: Predictor,
    listing: ListingProtocol,
    options: EvaluationOptions,
    *,
    load: Loader,
    report: Path | None = None,
    masks: Path | None = None,
    on_sample: Callable[[dict[str, Any]], None] | None = None,
) -> Evaluation:
    """Score a predictor on a split.

    A sample that raises an exception is excluded and listed. With `report`, rows are written to `REPORT.partial.jsonl`
    at once. Another run with the same options, model and data continues after them, and retries samples that a lack of
    memory or a bug excluded. The report is written at the end.

    Args:
        predictor: predicts the masks.
        listing: samples of the split `options.split`.
        options: options of the evaluation.
        load: reads a sample with labels of a given size; called in another thread.
        report: JSON file to write.
        masks: folder for the masks; see `save_masks`.
        on_sample: called with the row of each sample, also of an earlier run.

    Returns:
        the scores; the rows are in the report.

    Raises:
        UsageError: the prompts do not match the data, or the journal belongs to another run.
        InputError: the split has no samples, or none could be scored.
        OutputError: a file cannot be written, or the disk is full.
    """
    start = time.perf_counter()
    samples = list(listing.samples)[: options.limit]
    check_listing(listing, options)
    conditions = AudioConditions(load, options.sound, listing.samples, options.seed)
    run = {
        "schema": SCHEMA,
        "model": {"name": predictor.name, **predictor.identity},
        "options": options.as_json(),
        "data": _hash(samples),
        "masks": masks,
    }
    totals = _Totals(ScoreAggregator(options.rules, options.seed, options.dataset), on_sample or (lambda _row: None))
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(EvaluationJournal(journal_path(report), run)) if report is not None else None
        done = set()
        for row in journal.rows() if journal is not None else ():
            done.add(row["id"])
            totals.add(row)
        waiting = [sample for sample in samples if sample.id not in done]
        model_seconds = 0.0
        for row, final in stack.enter_context(
            contextlib.closing(_rows(predictor, waiting, conditions, options, masks))
        ):
            model_seconds += row.get("seconds", 0.0)
            if journal is not None and final:
                journal.add(row)
            totals.add(row)
        if totals.scored:
            evaluation = Evaluation(
                options=options,
                model=predictor.name,
                numbers=totals.summary.numbers(),
                scored=totals.scored,
                excluded=tuple(totals.excluded),
                left_out=tuple(str(problem) for problem in listing.problems if problem.excluded),
                seconds={"total": time.perf_counter() - start, "model": model_seconds},
            )
            if journal is not None and report is not None:
                write_report(report, run | evaluation.as_json(), journal.rows())
    if journal is not None:
        journal.path.unlink()
    if not totals.scored:
        first = totals.excluded[0]
        raise InputError(f"none of {len(samples)} samples could be scored; {first['id']}: {first['error']}")
    return evaluation


class _Totals:
    """Accumulates rows."""

    def __init__(self, summary: ScoreAggregator, on_sample: Callable[[dict[str, Any]], None]) -> None:
        self.summary, self._on_sample = summary, on_sample
        self.scored = 0
        self.excluded: list[dict[str, str]] = []

    def add(self, row: dict[str, Any]) -> None:
        if "error" in row:
            self.excluded.append({"id": row["id"], "error": row["error"]})
        else:
            self.scored += 1
            self.summary.add(row)
        self._on_sample(row)


def _hash(samples: list[Sample]) -> str:
    """Hash the ids in order."""
    return hashlib.sha256("\n".join(sample.id for sample in samples).encode()).hexdigest()[:16]


def _rows(
    predictor: Predictor,
    samples: list[Sample],
    conditions: AudioConditions,
    options: EvaluationOptions,
    masks: Path | None,
) -> Generator[tuple[dict[str, Any], bool], None, None]:
    """Predict and score samples; a failed sample gets a row with `error`.

    Yields:
        a row, and whether another run would give the same row.
    """
    rules = options.rules

    def loaded() -> Iterator[tuple[Sample, LoadedClip | None, Any]]:
        for sample in samples:
            try:
                clip = conditions.load(sample, rules.size)
                if options.dataset not in CLASS_NAMES:
                    clip = replace(clip, classes=None)
                yield sample, clip, predictor.prepare(clip)
            except Exception as error:
                yield sample, None, error

    with Prefetcher(loaded(), AHEAD) as items:
        for sample, clip, prepared in items:
            if clip is None:
                yield _failure(sample, prepared)
                continue
            try:
                start = time.perf_counter()
                prediction = predictor.predict(clip, prepared)
                seconds = time.perf_counter() - start
                row = score_clip(prediction, clip, rules)
            except UsageError:
                raise
            except Exception as error:
                yield _failure(sample, error)
                continue
            if masks is not None:
                save_masks(masks, clip, prediction, rules.threshold)
            yield row | {"seconds": seconds}, True


def _failure(sample: Sample, error: Exception) -> tuple[dict[str, Any], bool]:
    """Return the row of a sample that failed, and whether another run would give the same row.

    Raises:
        DiskFullError: the disk is full.
    """
    _log.debug("%s failed", sample.id, exc_info=error)
    if isinstance(error, ValueError):  # values of files or masks out of range
        return {"id": sample.id, "error": " ".join(str(error).split())}, True
    failure = as_aural(error, memory=MEMORY_REMEDY)
    if isinstance(failure, DiskFullError):
        raise failure from error
    final = not isinstance(failure, OutOfMemoryError | UnexpectedError)
    return {"id": sample.id, "error": " ".join(str(failure).split())}, final
