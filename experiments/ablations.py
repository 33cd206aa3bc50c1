"""Ablations of the paper in miniature: train and evaluate each row of ablations.yaml on StampAVS, print the tables.

    python experiments/ablations.py RECIPE [--tables pyramid,prompts] [--seeds 3] [--set KEY=VALUE] [--write DOCUMENT]

A row is RECIPE with a few changes; ablations.yaml says which, and which orderings are asked for: those that the paper
finds, and whether its variant beats the released one. Each row and seed
has its folder in --out: what is trained and evaluated is not done again, and a training that was stopped goes on from
its checkpoint. Figures are means over seeds with 95 % intervals of Student's t; an ordering holds if the interval of
the difference, taken seed by seed, lies above 0.

Rows that read need a text encoder: --text FOLDER. `--write` puts each table between its marks, `<!-- begin NAME -->`
and `<!-- end NAME -->`.
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
from marked import table, write_marked
from runs import Runs, dataset_and_split

ROWS = Path(__file__).with_suffix(".yaml")
READS = "model.fuser.modality=audio+text"
SCORES = ("M_J", "M_F", "J&F")
DECIDES = "J&F"
"""Score that decides orderings."""
QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Quantiles of Student's t at 97.5 %, for 1 to 9 degrees of freedom."""

Scores = dict[tuple[str, int], dict[str, dict[str, float]]]
"""Scores by row and seed, split, and name."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table.

    Attributes:
        title: its heading.
        dataset: on which its rows are evaluated.
        splits: of it.
        rows: names.
        orderings: pairs of rows, the lower one first.
        paper: number of the paper's table; None where it has none.
        place: `DATASET/SPLIT` of its figures, of Hiera-l.
        names: the paper's rows, where they have other names than ours.
    """

    title: str
    dataset: str
    splits: list[str]
    rows: list[str]
    orderings: list[list[str]]
    paper: str | None = None
    place: str = "v1m/test"
    names: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Settings of training and evaluation.

    Attributes:
        recipe: that each row changes.
        changes: of all rows, `KEY=VALUE`.
        seeds: how many.
        text: folder of a text encoder, for rows that read.
        clips: evaluate on the first ones of each split; None for all.
        out: folder of trainings, reports and tables.
    """

    recipe: Path
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


def verdict(differences: list[float]) -> str:
    """Return whether an ordering holds, from the differences of each seed."""
    found = interval(differences)
    if found is None:
        return "one seed: " + ("gain" if differences[0] > 0 else "no gain")
    if found[0] > 0:
        return "holds"
    if found[1] < 0:
        return "is reversed"
    return "open: " + ("mean gain" if fmean(differences) > 0 else "no mean gain")


def markdown(chosen: Table, scores: Scores, seeds: int) -> str:
    """Format a table and its orderings."""
    theirs = _published(chosen)
    beside = SCORES if theirs else ()
    rows = []
    for row in chosen.rows:
        cells = [_cell([scores[row, seed][split][name] for seed in range(seeds)]) for split, name in _columns(chosen)]
        values = theirs.get(chosen.names.get(row, row))
        rows.append([row, *cells, *(f"{values[name]:.4f}" if values else "-" for name in beside)])
    head = ["row", *(f"{split}, {name}" for split, name in _columns(chosen))]
    parts = [table(head + [f"paper, {chosen.place}: {name}" for name in beside], rows)]
    if chosen.orderings:
        told = []
        for split in chosen.splits:
            for low, high in chosen.orderings:
                gains = [scores[high, s][split][DECIDES] - scores[low, s][split][DECIDES] for s in range(seeds)]
                told.append([f"{low} < {high}", split, _cell(gains), verdict(gains)])
        parts.append(table(["ordering", "split", f"gain in {DECIDES}", "result"], told))
    return "\n\n".join(parts)


def recipe_of(path: Path, changes: list[str], seed: int, text: Path | None) -> TrainingRecipe:
    """Return the recipe of a row.

    Args:
        path: of the recipe that is changed.
        changes: of the command line and of the row, later ones over earlier ones.
        seed: of the training.
        text: folder of the text encoder, for a row that reads.
    """
    changes = [*changes, f"trainer.seed={seed}"]
    if READS in changes and text is not None:
        width = json.loads((text / "config.json").read_text(encoding="utf-8"))["hidden_size"]
        changes += [f"model.text={text}", f"model.fuser.text_width={width}"]
    return TrainingRecipe.load(path, changes)


def trained(recipe: TrainingRecipe, folder: Path) -> Path:
    """Train a row if needed, and return its model.

    Raises:
        AuralError: it cannot be trained, or the folder is of another recipe.
    """
    finished = (folder / LAST / "config.json").is_file()
    if not (finished and TrainingRecipe.load(folder / RECIPE_FILE) == recipe):
        train(recipe, folder, resume=True, on_message=lambda news: print(f"  {news}", file=sys.stderr, flush=True))
    return folder / BEST


def measure(
    chosen: Table, row: str, recipe: TrainingRecipe, folder: Path, clips: int | None
) -> dict[str, dict[str, float]]:
    """Return the scores of a row for one seed, by split.

    Args:
        chosen: the table.
        row: its name.
        recipe: of the row and seed.
        folder: of its training and reports.
        clips: only the first ones of each split; None for all.
    """
    print(f"{row}, seed {recipe.trainer.seed}", file=sys.stderr, flush=True)
    model = AuralSAM2.from_pretrained(str(trained(recipe, folder)), "cpu", "fp32")
    runs = Runs(model, Path(recipe.data.root), folder, 0, clips)
    prompts = "audio" if recipe.model.text is None else "audio+text"
    reports = {split: runs.report(chosen.dataset, split, prompts) for split in chosen.splits}
    return {split: {name: report["summary"][name]["value"] for name in SCORES} for split, report in reports.items()}


def known_rows() -> dict[str, list[str]]:
    """Return the changes of each row."""
    return yaml.safe_load(ROWS.read_text(encoding="utf-8"))["rows"]


def known_tables() -> dict[str, Table]:
    """Read the tables by name."""
    return {name: Table(**each) for name, each in yaml.safe_load(ROWS.read_text(encoding="utf-8"))["tables"].items()}


def compare(name: str, chosen: Table, plan: Plan) -> str:
    """Train and evaluate the missing rows, write the table to the plan's folder and return it with its heading.

    Seed by seed, so that a table of one seed is whole before the next one begins.

    Args:
        name: of its files.
        chosen: the table.
        plan: how.
    """
    rows, scores, text = known_rows(), {}, ""
    for seed in range(plan.seeds):
        for row in chosen.rows:
            recipe = recipe_of(plan.recipe, [*plan.changes, *rows[row]], seed, plan.text)
            folder = plan.out / row.replace(", ", "-").replace(" ", "-") / f"seed{seed}"
            scores[row, seed] = measure(chosen, row, recipe, folder, plan.clips)
        head = about(plan, seed + 1)
        text = f"{chosen.title}. {head}\n\n{markdown(chosen, scores, seed + 1)}"
        print(f"\n{text}\n", flush=True)
        write_file(plan.out / f"{name}.md", (text + "\n").encode())
        found = {row: [scores[row, s] for s in range(seed + 1)] for row in chosen.rows}
        whole = {"table": name, "about": head, "rows": found}
        write_file(plan.out / f"{name}.json", (json.dumps(whole, indent=1) + "\n").encode())
    return text


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--tables", help="comma-separated; left out, all for which the text encoder is not missing")
    parser.add_argument("--seeds", type=int, default=3, choices=range(1, len(QUANTILES) + 2), metavar="N")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe of all rows")
    parser.add_argument("--text", type=Path, help="folder of a text encoder, for rows that read")
    parser.add_argument("--clips", type=int, help="evaluate on the first ones of each split")
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", type=Path, help="document with the marks of the tables")
    arguments = parser.parse_args()
    tables, rows = known_tables(), known_rows()
    possible = [name for name, each in tables.items() if arguments.text or not _reads(each, rows)]
    asked = arguments.tables.split(",") if arguments.tables else possible
    if unknown := sorted(set(asked) - tables.keys()):
        parser.error(f"--tables {unknown[0]}: choose from {', '.join(tables)}")
    if missing := sorted(set(asked) - set(possible)):
        parser.error(f"--tables {missing[0]}: its rows read: name a text encoder with --text FOLDER")
    torch.set_num_threads(arguments.threads)
    plan = Plan(
        recipe=arguments.recipe,
        changes=tuple(arguments.set),
        seeds=arguments.seeds,
        text=arguments.text,
        clips=arguments.clips,
        out=arguments.out,
    )
    for name in asked:
        text = compare(name, tables[name], plan)
        if arguments.write:
            write_marked(arguments.write, name, text)
    return 0


def about(plan: Plan, seeds: int) -> str:
    """Describe the conditions of the figures in a sentence."""
    on = describe_machine("cpu")
    changes = "".join(f", {change}" for change in plan.changes if change.startswith("trainer."))
    clips = "all clips" if plan.clips is None else f"the first {plan.clips} clips"
    return (
        f"{plan.recipe.name}{changes}, {seeds} seed{'s' * (seeds > 1)}, {clips} of each split; {on['cpu']}, "
        f"{on['threads']} threads, fp32, torch {on['torch']}; {date.today().isoformat()}."
    )


def _reads(chosen: Table, rows: dict[str, list[str]]) -> bool:
    """Return whether a row of the table uses text."""
    return any(READS in rows[row] for row in chosen.rows)


def _published(chosen: Table) -> dict[str, dict[str, float]]:
    """Return the paper's figures of the table, by row and score."""
    if chosen.paper is None:
        return {}
    found = published_figures(*dataset_and_split(chosen.place), tables=[chosen.paper])
    return {entry["method"]: entry["values"] for entry in found}


def _columns(chosen: Table) -> list[tuple[str, str]]:
    return [(split, name) for split in chosen.splits for name in SCORES]


def _cell(values: list[float]) -> str:
    found = interval(values)
    return f"{fmean(values):.3f}" + (f" [{found[0]:.3f}, {found[1]:.3f}]" if found else "")


if __name__ == "__main__":
    sys.exit(main())
