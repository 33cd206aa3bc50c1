"""Tables of evaluations for the available models and data, beside published figures.

The scores are those of `auralsam2 evaluate`, one report per run. Frames per second are processor seconds on one thread,
from pixels to masks, of the median clip; each clip goes through all rows in turn, so that all rows meet the same load.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from auralsam2.data import open_dataset
from auralsam2.data.class_names import CLASS_NAMES
from auralsam2.data.load import load_clip
from auralsam2.errors import AuralError
from auralsam2.evaluation.options import EvaluationOptions
from auralsam2.evaluation.predictor import AuralPredictor
from auralsam2.evaluation.published import SPEED, published_figures
from auralsam2.model import AuralSAM2
from paired import clip_sums, difference
from reporting import Number, format_number, markdown_table
from runs import JOINT, Runs, dataset_and_split

TABLES_FILE = Path(__file__).with_name("tables.yaml")


@dataclass(frozen=True, kw_only=True)
class Row:
    """Method of a table.

    Attributes:
        name: name of the method.
        model: key of its model.
        prompts, combine: options of `auralsam2 evaluate`; prompts of None are those of the split.
        paper: name of the method in the published figures; None without such figures.
        backbone: backbone of these figures; None for the table's.
        always: show the row without a model, too, with the published figures alone.
        second_stage: classes by the second stage of --second-stage, on splits with classes only.
    """

    name: str
    model: str
    prompts: str | None = None
    combine: str = JOINT
    paper: str | None = None
    backbone: str | None = None
    always: bool = False
    second_stage: bool = False

    def prompts_on(self, split: EvaluationSplit) -> str:
        """Return the prompts of this row on a split."""
        return self.prompts or split.prompts


@dataclass(frozen=True, kw_only=True)
class EvaluationSplit:
    """Split of a data set.

    Attributes:
        split: `DATASET/SPLIT`.
        paper: `DATASET/SPLIT` of the published figures; None for the same.
        prompts: prompts of rows without their own.
        mean_of: splits of whose scores this one has the means, as the paper's Mix has; empty for a split with samples.
        models: keys of the models that are evaluated on it; empty for all.
    """

    split: str
    paper: str | None = None
    prompts: str = "audio"
    mean_of: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, str]:
        """Data set and split."""
        return dataset_and_split(self.split)

    @property
    def published_names(self) -> tuple[str, str]:
        """Data set and split of the published figures."""
        return dataset_and_split(self.paper or self.split)

    @property
    def with_classes(self) -> bool:
        """Whether the data set has classes."""
        return self.names[0] in CLASS_NAMES

    def rows(self, table: Table) -> list[Row]:
        """Return the rows of a table on this split."""
        return [
            row
            for row in table.rows
            if (self.with_classes or not row.second_stage) and (not self.models or row.model in self.models)
        ]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Table of evaluations.

    Attributes:
        title: heading.
        splits: splits on which the rows are evaluated.
        scores: names of scores.
        rows: methods.
        reference: row that is subtracted from the others; None for no differences.
        timed: measure frames per second.
        published: number of the paper's table with figures of the rows.
        backbone: backbone of these figures.
    """

    title: str
    splits: list[EvaluationSplit]
    scores: list[str]
    rows: list[Row]
    reference: Row | None = None
    timed: bool = False
    published: str
    backbone: str = ""


def read_tables() -> dict[str, Table]:
    """Read all tables by number."""
    content = yaml.safe_load(TABLES_FILE.read_text(encoding="utf-8"))
    rows = {name: Row(**values) for name, values in content["rows"].items()}
    tables = {}
    for number, values in content["tables"].items():
        parts = {
            "splits": [
                EvaluationSplit(**split | {name: tuple(split.get(name, ())) for name in ("mean_of", "models")})
                for split in values["splits"]
            ],
            "rows": [rows[name] for name in values["rows"]],
            "reference": rows[values["reference"]] if "reference" in values else None,
        }
        tables[number] = Table(**{"published": number} | values | parts)
    return tables


def available_part(table: Table, root: Path, models: Mapping[str, AuralSAM2], *, second_stage: bool) -> Table:
    """Return the rows and splits for which there are models and data, and the rows that are always shown."""
    table = replace(table, rows=[row for row in table.rows if second_stage or not row.second_stage])
    rows = [row for row in table.rows if row.model in models]
    rows = [row for row in table.rows if row.model in models or row.always] if rows else []
    return replace(table, rows=rows, splits=[split for split in table.splits if _is_available(split, root)])


def _is_available(split: EvaluationSplit, root: Path) -> bool:
    try:
        return all(open_dataset(dataset, root).listing(name).samples for dataset, name in _parts(split))
    except AuralError:
        return False


def _parts(split: EvaluationSplit) -> list[tuple[str, str]]:
    """Return data set and split of the evaluations that a split needs."""
    return [dataset_and_split(part) for part in split.mean_of] or [split.names]


def format_table(
    table: Table,
    runs: Mapping[str, Runs],
    seconds: Mapping[Row, float],
) -> str:
    """Format a table as Markdown.

    Args:
        table: output of `available_part`.
        runs: evaluations by key of the models.
        seconds: processor seconds per frame; empty for a table without speeds.
    """
    published = {
        (split, row): published_values(table, split, row) for split in table.splits for row in split.rows(table)
    }
    paper_scores = [name for name in (*table.scores, SPEED) if any(name in values for values in published.values())]
    sources = {"/".join(split.published_names) for split in table.splits if split.paper}
    label = f"paper, {sources.pop()}: " if len(sources) == 1 else "paper: "
    with_prompts = len({row.prompts for row in table.rows}) > 1
    reference = table.reference if table.reference in table.rows else None
    head = ["split", "method", *["prompts"] * with_prompts, *table.scores]
    if reference is not None:
        prompts = f" by {_format_prompts(reference.prompts)}" if with_prompts else ""
        head.append(f"M_J minus that of {reference.name}{prompts}")
    head += ["FPS", "time"] * bool(seconds) + [f"{label}{name}" for name in paper_scores]
    lines = []
    for split in table.splits:
        reports = {
            row: [
                runs[row.model].report(
                    dataset, name, row.prompts_on(split), combine=row.combine, second_stage=row.second_stage
                )
                for dataset, name in _parts(split)
            ]
            for row in split.rows(table)
            if row.model in runs
        }
        for row in split.rows(table):
            line = [" ".join(split.names), row.name, *[_format_prompts(row.prompts_on(split))] * with_prompts]
            parts = reports.get(row, [])
            line += [format_number(_mean([part["summary"].get(score) for part in parts])) for score in table.scores]
            if reference is not None:
                pairs = zip(parts, reports[reference], strict=True) if parts and row is not reference else ()
                line.append(format_number(_mean([_difference(part, other) for part, other in pairs])))
            if seconds:
                line += _format_seconds(seconds.get(row), seconds[reference or table.rows[0]])
            values = published[split, row]
            line += [_format_published(score, values[score]) if score in values else "-" for score in paper_scores]
            lines.append(line)
    notes = [f"Published figures: {note}" for note in _published_notes(table)] if paper_scores else []
    if missing := [row for row in table.rows if row.model not in runs]:
        names = ", ".join(f"{row.name} (--model {row.model}=MODEL)" for row in missing)
        notes.append(f"No model for this table's data, published figures alone: {names}.")
    return "\n\n".join([markdown_table(head, lines), *notes])


def _mean(numbers: list[Number | None]) -> Number | None:
    """Return the mean of the scores of independent splits, with its interval; None if one is missing."""
    known = [number for number in numbers if number is not None]
    if not known or len(known) < len(numbers):
        return None
    if len(known) == 1:
        return known[0]
    value = sum(number["value"] for number in known) / len(known)
    mean: Number = {"value": value, "count": sum(number["count"] for number in known)}
    if all("low" in number for number in known):
        for end, sign in (("low", -1), ("high", 1)):
            widths = [number[end] - number["value"] for number in known]
            mean[end] = value + sign * math.sqrt(sum(width**2 for width in widths)) / len(known)
    return mean


def _format_seconds(seconds: float | None, reference: float) -> list[str]:
    return ["-", "-"] if seconds is None else [f"{1 / seconds:.1f}", f"{seconds / reference:.2f}"]


def _published_notes(table: Table) -> list[str]:
    """Return the notes of the published figures in a table."""
    return list(
        dict.fromkeys(
            entry["note"]
            for split in table.splits
            for row in split.rows(table)
            for entry in _published_entries(table, split, row)
        )
    )


def measure_speed(models: Mapping[str, AuralSAM2], root: Path, table: Table, clips: int) -> dict[Row, float]:
    """Measure processor seconds per frame of each row on the first split, median over clips after a warm-up."""
    split = table.splits[0]
    dataset, name = split.names
    rows = [row for row in table.rows if row.model in models]
    seconds: dict[Row, list[float]] = {row: [] for row in rows}
    predictors = {
        row: AuralPredictor(
            models[row.model],
            EvaluationOptions(dataset=dataset, split=name, prompts=row.prompts_on(split), combine=row.combine),
        )
        for row in rows
    }
    size = next(iter(models.values())).network.image_size
    for number, sample in enumerate(open_dataset(dataset, root).listing(name).samples[: clips + 1]):
        clip = load_clip(sample, size)
        for row, predictor in predictors.items():
            prepared = predictor.prepare(clip)
            begun = time.process_time()
            predictor.predict(clip, prepared)
            if number:
                seconds[row].append((time.process_time() - begun) / len(prepared))
    return {row: median(times) for row, times in seconds.items()}


def published_values(table: Table, split: EvaluationSplit, row: Row) -> dict[str, float]:
    """Return the published figures of a row on a split, by score."""
    entries = _published_entries(table, split, row)
    return entries[0]["values"] if entries else {}


def _published_entries(table: Table, split: EvaluationSplit, row: Row) -> list[dict[str, Any]]:
    figures = published_figures(*split.published_names, row.prompts_on(split), [table.published])
    method = row.paper, row.backbone or table.backbone
    return [entry for entry in figures if (entry["method"], entry["backbone"]) == method]


def _difference(report: dict[str, Any], reference: dict[str, Any]) -> Number | None:
    return difference(clip_sums(report["samples"]), clip_sums(reference["samples"]), 0)


def _format_published(score: str, value: float) -> str:
    return f"{value:.1f}" if score == SPEED else f"{value:.4f}"


def _format_prompts(prompts: str | None) -> str:
    return (prompts or "").replace("+", ", ")
