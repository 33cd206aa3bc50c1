"""Tables of evaluations of the available models and data, beside published figures.

The scores are those of `auralsam2 evaluate`; one report a run, and a second call goes on where the first one stopped.
Frames a second: clips in memory go through all rows in turn, so that all rows meet the same machine; counted are
processor seconds on one thread, from pixels to masks, of the median clip.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from auralsam2.data import open_dataset
from auralsam2.data.load import load_clip
from auralsam2.errors import AuralError
from auralsam2.evaluation.options import EvaluationOptions
from auralsam2.evaluation.predictor import AuralPredictor
from auralsam2.evaluation.published import SPEED, published_figures
from auralsam2.model import AuralSAM2
from marked import table
from paired import Number, cell, clip_sums, difference
from runs import JOINT, Runs, dataset_and_split

DEFINED = Path(__file__).with_name("tables.yaml")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method.

    Attributes:
        name: of the method.
        model: a key of the models.
        prompts: as of `auralsam2 evaluate`; None takes those of the place.
        combine: as of `auralsam2 evaluate`.
        paper: name of the method in what was published; None where there is nothing.
        backbone: of these figures; None for that of the table.
    """

    name: str
    model: str
    prompts: str | None = None
    combine: str = JOINT
    paper: str | None = None
    backbone: str | None = None

    def told(self, place: Place) -> str:
        """Prompts at a place."""
        return self.prompts or place.prompts


@dataclass(frozen=True, kw_only=True)
class Place:
    """Split on which rows are evaluated.

    Attributes:
        at: `DATASET/SPLIT`.
        paper: the place of the published figures; None for the same.
        prompts: of rows that have none of their own.
    """

    at: str
    paper: str | None = None
    prompts: str = "audio"

    @property
    def names(self) -> tuple[str, str]:
        """Data set and split."""
        return dataset_and_split(self.at)

    @property
    def beside(self) -> tuple[str, str]:
        """Data set and split of the published figures."""
        return dataset_and_split(self.paper or self.at)


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table.

    Attributes:
        title: its heading.
        places: where its rows are evaluated.
        scores: names.
        rows: the table's lines at each place.
        less: the row from which differences are taken; None for none.
        timed: frames a second are measured.
        published: number of the paper's table that has figures of its rows.
        backbone: of the published figures.
    """

    title: str
    places: list[Place]
    scores: list[str]
    rows: list[Row]
    less: Row | None = None
    timed: bool = False
    published: str
    backbone: str = ""


def defined() -> dict[str, Table]:
    """Return all tables by number."""
    known = yaml.safe_load(DEFINED.read_text(encoding="utf-8"))
    rows = {name: Row(**values) for name, values in known["rows"].items()}
    found = {}
    for number, values in known["tables"].items():
        less = rows[values["less"]] if "less" in values else None
        places = [Place(**place) for place in values["places"]]
        chosen = [rows[name] for name in values["rows"]]
        found[number] = Table(**{"published": number} | values | {"places": places, "rows": chosen, "less": less})
    return found


def possible(chosen: Table, root: Path, models: Mapping[str, AuralSAM2]) -> Table:
    """Return the table with the available models and data only."""
    rows = [row for row in chosen.rows if row.model in models]
    return replace(chosen, rows=rows, places=[place for place in chosen.places if _here(place, root)])


def _here(place: Place, root: Path) -> bool:
    dataset, split = place.names
    try:
        return bool(open_dataset(dataset, root).listing(split).samples)
    except AuralError:
        return False


def measured(chosen: Table, runs: Mapping[str, Runs], seconds: Mapping[Row, float]) -> str:
    """Format a table as Markdown.

    Args:
        chosen: of what is possible.
        runs: by key of the models.
        seconds: processor seconds a frame; empty where they are not wanted.
    """
    beside = {(place, row): _published(chosen, place, row) for place in chosen.places for row in chosen.rows}
    theirs = [name for name in (*chosen.scores, SPEED) if any(name in values for values in beside.values())]
    where = {"/".join(place.beside) for place in chosen.places if place.paper}
    label = f"paper, {where.pop()}: " if len(where) == 1 else "paper: "
    asked = len({row.prompts for row in chosen.rows}) > 1
    less = chosen.less if chosen.less in chosen.rows else None
    head = ["split", "method", *["prompts"] * asked, *chosen.scores]
    if less is not None:
        head.append(f"M_J minus that of {less.name}" + f" by {_words(less.prompts)}" * asked)
    head += ["FPS", "time"] * bool(seconds) + [f"{label}{name}" for name in theirs]
    lines = []
    for place in chosen.places:
        dataset, split = place.names
        reports = {
            row: runs[row.model].report(dataset, split, row.told(place), combine=row.combine) for row in chosen.rows
        }
        for row, report in reports.items():
            line = [f"{dataset} {split}", row.name, *[_words(row.told(place))] * asked]
            line += [cell(report["summary"].get(name)) for name in chosen.scores]
            if less is not None:
                line.append("-" if row is less else cell(_gain(report, reports[less])))
            if seconds:
                base = seconds[less or chosen.rows[0]]
                line += [f"{1 / seconds[row]:.1f}", f"{seconds[row] / base:.2f}"]
            values = beside[place, row]
            line += [_figure(name, values[name]) if name in values else "-" for name in theirs]
            lines.append(line)
    return table(head, lines)


def speed(models: Mapping[str, AuralSAM2], root: Path, chosen: Table, clips: int) -> dict[Row, float]:
    """Measure processor seconds per frame of each row at the first place, median over clips after a warm-up."""
    place = chosen.places[0]
    dataset, split = place.names
    taken: dict[Row, list[float]] = {row: [] for row in chosen.rows}
    told = {
        row: EvaluationOptions(dataset=dataset, split=split, prompts=row.told(place), combine=row.combine)
        for row in taken
    }
    predictors = {row: AuralPredictor(models[row.model], options) for row, options in told.items()}
    size = next(iter(models.values())).network.image_size
    for number, sample in enumerate(open_dataset(dataset, root).listing(split).samples[: clips + 1]):
        clip = load_clip(sample, size)
        for row, predictor in predictors.items():
            prepared = predictor.prepare(clip)
            begun = time.process_time()
            predictor.predict(clip, prepared)
            if number:
                taken[row].append((time.process_time() - begun) / len(prepared))
    return {row: median(times) for row, times in taken.items()}


def _gain(one: dict[str, Any], other: dict[str, Any]) -> Number | None:
    return difference(clip_sums(one["samples"]), clip_sums(other["samples"]), 0)


def _published(chosen: Table, place: Place, row: Row) -> dict[str, float]:
    """Return the published figures of a row at a place, by name."""
    for entry in published_figures(*place.beside, row.told(place), [chosen.published]):
        if (entry["method"], entry["backbone"]) == (row.paper, row.backbone or chosen.backbone):
            return entry["values"]
    return {}


def _figure(name: str, value: float) -> str:
    return f"{value:.1f}" if name == SPEED else f"{value:.4f}"


def _words(prompts: str | None) -> str:
    return (prompts or "").replace("+", ", ")
