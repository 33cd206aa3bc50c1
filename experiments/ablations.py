"""Ablations of the paper in miniature: train and evaluate each row of ablations.yaml on StampAVS, print the tables.

    python experiments/ablations.py [RECIPE] [--tables pyramid,prompts] [--seeds 3] [--set KEY=VALUE] [--write DOCUMENT]

A row is RECIPE, by default the table's own, with the changes in ablations.yaml. The file also lists the orderings to
test: those of the paper, and whether the paper's variant beats the released one. Each recipe, row and seed has a folder
in --out; a second call reuses finished trainings and reports, and resumes an interrupted training from its checkpoint.
Figures are means over seeds with 95 % intervals of Student's t; those of a single seed have none. An ordering holds if
the interval of the differences between rows of equal seed is above 0. For a single seed, it is the bootstrap interval
over clips.

Rows with text need a text encoder: --text FOLDER. `--write` replaces the text between the comments
`<!-- begin NAME -->` and `<!-- end NAME -->` of a document.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import fmean, stdev

import torch
import yaml

from auralsam2.bench.material import describe_machine
from auralsam2.evaluation.published import published_figures
from auralsam2.model import AuralSAM2
from auralsam2.training.callbacks import BEST, LAST
from auralsam2.training.recipe import TrainingRecipe
from auralsam2.training.run import RECIPE_FILE, train
from auralsam2.utils.atomic_io import write_file
from paired import Sums, clip_sums, difference
from reporting import markdown_table, write_section
from runs import Runs, dataset_and_split

ABLATIONS_FILE = Path(__file__).with_suffix(".yaml")
RECIPES = Path(__file__).parents[1] / "recipes"
TEXT_CHANGE = "model.fuser.modality=audio+text"
SCORES = ("M_J", "M_F", "J&F")
ORDERING_SCORE = "J&F"
QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Quantiles of Student's t at 97.5 %, for 1 to 9 degrees of freedom."""

Scores = dict[tuple[str, int], dict[str, dict[str, float]]]
"""Scores by row and seed, split, and name."""
ClipSums = dict[tuple[str, int], dict[str, Sums]]
"""Sums of J&F by row and seed, split, and clip."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Table of trained rows.

    Attributes:
        title: heading.
        dataset, splits: data on which the rows are evaluated.
        rows: names of the rows.
        orderings: pairs of rows, the lower one first.
        paper: number of the paper's table; None for a table that is not in the paper.
        paper_split: `DATASET/SPLIT` of the paper's figures, which are those of Hiera-l.
        names: names of rows in the paper, where they differ.
        recipe: file name of the recipe that the rows change.
    """

    title: str
    dataset: str
    splits: list[str]
    rows: list[str]
    orderings: list[list[str]]
    paper: str | None = None
    paper_split: str = "v1m/test"
    names: dict[str, str] = field(default_factory=dict)
    recipe: str = "stampavs-mini-ablations-continued.yaml"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Settings of training and evaluation.

    Attributes:
        recipe: recipe that the rows change; None for that of each table.
        changes: changes for all rows, `KEY=VALUE`.
        seeds: number of trainings per row.
        text: folder of a text encoder, for rows with text.
        clips: number of clips of each split that are evaluated; None for all.
        out: folder of trainings, reports and tables.
    """

    recipe: Path | None
    changes: tuple[str, ...]
    seeds: int
    out: Path
    text: Path | None = None
    clips: int | None = None


def interval(values: list[float]) -> tuple[float, float] | None:
    """Compute the 95 % interval of the mean over seeds by Student's t; None for a single seed.

    Raises:
        ValueError: more than ten values.
    """
    if len(values) < 2:
        return None
    if len(values) > len(QUANTILES) + 1:
        raise ValueError(f"{len(values)} seeds: at most {len(QUANTILES) + 1}")
    half = QUANTILES[len(values) - 2] * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def verdict(mean: float, low: float, high: float) -> str:
    """Return whether an ordering holds, from the mean difference and the ends of its interval."""
    if low > 0:
        return "holds"
    if high < 0:
        return "is reversed"
    return "open: " + ("mean gain" if mean > 0 else "no mean gain")


def gain(low: list[Sums], high: list[Sums], differences: list[float]) -> tuple[float, float, float]:
    """Compute the mean gain of a row over another, and its 95 % interval.

    Args:
        low: sums of J&F of the one row, for each seed.
        high: those of the other.
        differences: between their scores, for each seed.
    """
    ends = interval(differences)
    if ends is None:
        number = difference(high[0], low[0], seed=0)
        assert number is not None
        return number["value"], number["low"], number["high"]
    return fmean(differences), *ends


def format_table(table: Table, scores: Scores, sums: ClipSums, seeds: int) -> str:
    """Format a table and its orderings as Markdown."""
    published = published_rows(table)
    paper_scores = SCORES if published else ()
    columns = [(split, name) for split in table.splits for name in SCORES]
    rows = []
    for row in table.rows:
        cells = [_format_mean([scores[row, seed][split][name] for seed in range(seeds)]) for split, name in columns]
        values = published.get(table.names.get(row, row))
        rows.append([row, *cells, *(f"{values[name]:.4f}" if values else "-" for name in paper_scores)])
    head = ["row", *(f"{split}, {name}" for split, name in columns)]
    parts = [markdown_table(head + [f"paper, {table.paper_split}: {name}" for name in paper_scores], rows)]
    if table.orderings:
        results = []
        for split in table.splits:
            for low, high in table.orderings:
                differences = [
                    scores[high, seed][split][ORDERING_SCORE] - scores[low, seed][split][ORDERING_SCORE]
                    for seed in range(seeds)
                ]
                mean, start, end = gain(
                    *([sums[row, seed][split] for seed in range(seeds)] for row in (low, high)), differences
                )
                cells = f"{mean:.3f} [{start:.3f}, {end:.3f}]", verdict(mean, start, end)
                results.append([f"{low} < {high}", split, *cells])
        parts.append(markdown_table(["ordering", "split", f"gain in {ORDERING_SCORE}", "result"], results))
    return "\n\n".join(parts)


def recipe_of(path: Path, changes: list[str], seed: int, text: Path | None) -> TrainingRecipe:
    """Return the recipe of a row.

    Args:
        path: recipe to change.
        changes: changes of the command line, then of the row; the last one of a key applies.
        seed: seed of the training.
        text: folder of the text encoder, for a row with text.
    """
    changes = [*changes, f"trainer.seed={seed}"]
    if TEXT_CHANGE in changes and text is not None:
        width = json.loads((text / "config.json").read_text(encoding="utf-8"))["hidden_size"]
        changes += [f"model.text={text}", f"model.fuser.text_width={width}"]
    return TrainingRecipe.load(path, changes)


def trained_model(recipe: TrainingRecipe, folder: Path) -> Path:
    """Train a row unless its training is complete, and return the folder of its model.

    Raises:
        AuralError: the training fails, or the folder has another recipe.
    """
    finished = (folder / LAST / "config.json").is_file()
    if not (finished and TrainingRecipe.load(folder / RECIPE_FILE) == recipe):
        train(recipe, folder, resume=True, on_message=lambda text: print(f"  {text}", file=sys.stderr, flush=True))
    return folder / BEST


def measure(
    table: Table, row: str, recipe: TrainingRecipe, folder: Path, clips: int | None
) -> tuple[dict[str, dict[str, float]], dict[str, Sums]]:
    """Return the scores of a row for one seed and the sums of J&F of its clips, by split.

    Args:
        table: table with the data set and its splits.
        row: name of the row.
        recipe: recipe of the row and seed.
        folder: folder of the training and its reports.
        clips: number of clips of each split; None for all.
    """
    print(f"{row}, seed {recipe.trainer.seed}", file=sys.stderr, flush=True)
    model = AuralSAM2.from_pretrained(str(trained_model(recipe, folder)), "cpu", "fp32")
    runs = Runs(model, Path(recipe.data.root), folder, 0, clips)
    prompts = "audio" if recipe.model.text is None else "audio+text"
    reports = {split: runs.report(table.dataset, split, prompts) for split in table.splits}
    scores = {split: {name: report["summary"][name]["value"] for name in SCORES} for split, report in reports.items()}
    return scores, {split: clip_sums(report["samples"], scores=("j", "f")) for split, report in reports.items()}


def read_rows() -> dict[str, list[str]]:
    """Read the changes of each row."""
    return yaml.safe_load(ABLATIONS_FILE.read_text(encoding="utf-8"))["rows"]


def read_tables() -> dict[str, Table]:
    """Read the tables by name."""
    tables = yaml.safe_load(ABLATIONS_FILE.read_text(encoding="utf-8"))["tables"]
    return {name: Table(**values) for name, values in tables.items()}


def compare(name: str, table: Table, plan: Plan) -> str:
    """Train and evaluate the missing rows; write the table to the plan's folder and return it with its heading.

    The rows are processed seed by seed, and the table is written after each seed.

    Args:
        name: name of the written files.
        table: rows to compare.
        plan: settings.
    """
    rows, scores, sums, text = read_rows(), {}, {}, ""
    path = plan.recipe or RECIPES / table.recipe
    for seed in range(plan.seeds):
        for row in table.rows:
            recipe = recipe_of(path, [*plan.changes, *rows[row]], seed, plan.text)
            folder = plan.out / path.stem / row.replace(", ", "-").replace(" ", "-") / f"seed{seed}"
            scores[row, seed], sums[row, seed] = measure(table, row, recipe, folder, plan.clips)
        conditions = describe_plan(path, plan, seed + 1)
        text = f"{table.title}. {conditions}\n\n{format_table(table, scores, sums, seed + 1)}"
        print(f"\n{text}\n", flush=True)
        write_file(plan.out / f"{name}.md", (text + "\n").encode())
        by_row = {row: [scores[row, number] for number in range(seed + 1)] for row in table.rows}
        content = {"table": name, "about": conditions, "rows": by_row}
        write_file(plan.out / f"{name}.json", (json.dumps(content, indent=1) + "\n").encode())
    return text


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path, nargs="?", help="default: that of each table")
    parser.add_argument("--tables", help="comma-separated; default: all, without --text those without text")
    parser.add_argument("--seeds", type=int, default=3, choices=range(1, len(QUANTILES) + 2), metavar="N")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe of all rows")
    parser.add_argument("--text", type=Path, help="folder of a text encoder, for rows with text")
    parser.add_argument("--clips", type=int, help="evaluate only the first clips of each split")
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", type=Path, help="document with sections for the tables")
    arguments = parser.parse_args()
    tables, rows = read_tables(), read_rows()
    with_text = {name for name, table in tables.items() if any(TEXT_CHANGE in rows[row] for row in table.rows)}
    possible = [name for name in tables if arguments.text or name not in with_text]
    names = arguments.tables.split(",") if arguments.tables else possible
    if unknown := sorted(set(names) - tables.keys()):
        parser.error(f"--tables {unknown[0]}: choose from {', '.join(tables)}")
    if missing := sorted(set(names) - set(possible)):
        parser.error(f"--tables {missing[0]}: its rows need a text encoder: name one with --text FOLDER")
    torch.set_num_threads(arguments.threads)
    plan = Plan(
        recipe=arguments.recipe,
        changes=tuple(arguments.set),
        seeds=arguments.seeds,
        text=arguments.text,
        clips=arguments.clips,
        out=arguments.out,
    )
    for name in names:
        text = compare(name, tables[name], plan)
        if arguments.write:
            write_section(arguments.write, name, text)
    return 0


def describe_plan(recipe: Path, plan: Plan, seeds: int) -> str:
    """Return the conditions of the figures as a sentence."""
    machine = describe_machine("cpu")
    changes = "".join(f", {change}" for change in plan.changes if change.startswith("trainer."))
    clips = "all clips" if plan.clips is None else f"the first {plan.clips} clips"
    return (
        f"{recipe.name}{changes}, {seeds} seed{'s' * (seeds > 1)}, {clips} of each split; {machine['cpu']}, "
        f"{machine['threads']} threads, fp32, torch {machine['torch']}; {date.today().isoformat()}."
    )


def published_rows(table: Table) -> dict[str, dict[str, float]]:
    """Return the paper's figures of a table, by row and score."""
    if table.paper is None:
        return {}
    entries = published_figures(*dataset_and_split(table.paper_split), tables=[table.paper])
    return {entry["method"]: entry["values"] for entry in entries}


def _format_mean(values: list[float]) -> str:
    ends = interval(values)
    return f"{fmean(values):.3f}" + (f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else "")


if __name__ == "__main__":
    sys.exit(main())
