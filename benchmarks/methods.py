"""AuralSAM2 beside SAM 2 and the baselines on StampAVS: the paper's Tables 2, 6 and 7 in miniature, and how to combine.

    python benchmarks/methods.py ROOT [--gavs MODEL --sama MODEL] [--clips N] [--write docs/results.md]

`methods`: sound alone on several splits. `prompting`: sound, points, box and mask on test-seen, with frames a second.
`combine`: on val, the ways to bring together what is heard and what is pointed at. The scores are those of `auralsam2
evaluate` under the protocol `per-frame`; one report a run lies in --out, and a second call goes on where the first one
stopped. Rows of models that are not given are left out.

Frames a second: clips in memory go through all rows in turn, so that all rows meet the same machine; counted are
processor seconds on one thread, from pixels to masks, of the median clip.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml

from auralsam2.data import open_dataset
from auralsam2.data.load import load
from auralsam2.evaluation.aural import AuralPredictor
from auralsam2.evaluation.options import COMBINES, Options
from auralsam2.model import AuralSAM2
from marked import table, write_marked, write_whole
from paired import Number, cell, clip_sums, difference
from stampavs_runs import Runs, heading, line

ROWS = Path(__file__).with_suffix(".yaml")
SPLITS = ("test-seen", "test-new-image", "test-unseen", "test-seen-hard")
PROMPTING, CHOOSING = "test-seen", "val"
BOTH, POINTED = "audio+points+box", "points+box"
OURS = "ours"


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One way to find the target.

    Attributes:
        name: of the method.
        model: a key of the models.
        prompts, combine: as of `auralsam2 evaluate`.
        paper: J and F in percent and frames a second, as published; None where the paper has no such row.
    """

    name: str
    model: str
    prompts: str
    combine: str = "joint"
    paper: list[float] | None = None


def methods(runs: dict[str, Runs], rows: list[Row]) -> str:
    """By sound alone: each model on each split, and what ours is better by."""
    heard = [row for row in rows if row.prompts == "audio" and row.model in runs]
    reports = {(row.model, split): runs[row.model].report("stampavs", split) for split in SPLITS for row in heard}
    lines = [
        [
            split,
            row.name,
            *_scores(reports[row.model, split]),
            cell(reports[row.model, split]["summary"].get("J with target")),
            *_published(row, 2),
        ]
        for split in SPLITS
        for row in heard
    ]
    gains = [
        [split, f"AuralSAM2 less {row.name}", cell(_gain(reports[OURS, split], reports[row.model, split]))]
        for split in SPLITS
        for row in heard
        if row.model != OURS
    ]
    parts = [table(["split", "method", "M_J", "M_F", "J with target", "paper, V1M: M_J", "M_F"], lines)]
    return "\n\n".join(parts + ([table(["split", "", "in M_J"], gains)] if gains else []))


def prompting(runs: dict[str, Runs], rows: list[Row], seconds: dict[Row, float]) -> str:
    """All rows on one split, with their speed."""
    there = [row for row in rows if row.model in runs]
    own = {row: runs[row.model].report("stampavs", PROMPTING, row.prompts, combine=row.combine) for row in there}
    pointed = next(row for row in there if (row.model, row.prompts) == (OURS, POINTED))
    lines = [
        [
            row.name,
            row.prompts.replace("+", ", "),
            *_scores(own[row]),
            cell(_gain(own[row], own[pointed])) if row is not pointed else "-",
            f"{1 / seconds[row]:.1f}",
            f"{seconds[row] / seconds[pointed]:.2f}",
            *_published(row, 3),
        ]
        for row in there
    ]
    less = "M_J less SAM 2's by points, box"
    return table(["method", "prompts", "M_J", "M_F", less, "FPS", "time", "paper, V1M: M_J", "M_F", "FPS"], lines)


def combine(runs: Runs) -> str:
    """Our model on the validation split, told everything, by every rule."""
    alone = {prompts: runs.report("stampavs", CHOOSING, prompts) for prompts in ("audio", POINTED)}
    together = {rule: runs.report("stampavs", CHOOSING, BOTH, combine=rule) for rule in COMBINES}
    lines = [[prompts.replace("+", ", "), "-", *_scores(report), "-"] for prompts, report in alone.items()]
    for rule, report in together.items():
        gain = cell(_gain(report, alone[POINTED]))
        lines.append([BOTH.replace("+", ", "), rule, *_scores(report), gain])
    return table(["prompts", "combine", "M_J", "M_F", "M_J less that of points, box"], lines)


def speed(models: dict[str, AuralSAM2], root: Path, rows: list[Row], clips: int) -> dict[Row, float]:
    """Processor seconds a frame of each row, the median over clips; one more clip warms up."""
    taken: dict[Row, list[float]] = {row: [] for row in rows if row.model in models}
    told = {
        row: Options(dataset="stampavs", split=PROMPTING, prompts=row.prompts, combine=row.combine) for row in taken
    }
    predictors = {row: AuralPredictor(models[row.model], options) for row, options in told.items()}
    for number, sample in enumerate(open_dataset("stampavs", root).listing(PROMPTING).samples[: clips + 1]):
        clip = load(sample, models[OURS].network.image_size)
        for row, predictor in predictors.items():
            prepared = predictor.prepare(clip)
            begun = time.process_time()
            predictor.predict(clip, prepared)
            if number:
                taken[row].append((time.process_time() - begun) / len(prepared))
    return {row: median(times) for row, times in taken.items()}


def _scores(report: dict[str, Any]) -> list[str]:
    return [cell(report["summary"][name]) for name in ("M_J", "M_F")]


def _gain(one: dict[str, Any], other: dict[str, Any]) -> Number | None:
    return difference(clip_sums(one["samples"]), clip_sums(other["samples"]), 0)


def _published(row: Row, count: int) -> list[str]:
    """J and F as fractions, frames a second as they are."""
    if row.paper is None:
        return ["-"] * count
    return [f"{row.paper[0] / 100:.3f}", f"{row.paper[1] / 100:.3f}", f"{row.paper[2]:.1f}"][:count]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder that data build-stampavs wrote")
    parser.add_argument("--model", default="mini", help="AuralSAM2")
    parser.add_argument("--gavs", help="trained by recipes/stampavs-mini-gavs.yaml")
    parser.add_argument("--sama", help="trained by recipes/stampavs-mini-sama.yaml")
    parser.add_argument("--clips", type=int, help="only the first ones of each split")
    parser.add_argument("--timed", type=int, default=20, help="clips over which speed is measured")
    parser.add_argument("--out", type=Path, default=Path("runs/methods"), help="folder of the reports")
    parser.add_argument("--write", type=Path, help="document with the marks of the tables")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    given = {OURS: arguments.model, "gavs": arguments.gavs, "sama": arguments.sama}
    models = {key: AuralSAM2.from_pretrained(name, "cpu", "fp32") for key, name in given.items() if name}
    runs = {}
    for key, model in models.items():
        (arguments.out / key).mkdir(parents=True, exist_ok=True)
        runs[key] = Runs(model, arguments.root, arguments.out / key, 0, arguments.clips)
    rows = [Row(**values) for values in yaml.safe_load(ROWS.read_text(encoding="utf-8"))["rows"]]
    seconds = speed(models, arguments.root, rows, arguments.timed)
    about = line(heading(models[OURS], 0), "StampAVS")
    parts = {
        "methods": methods(runs, rows),
        "prompting": prompting(runs, rows, seconds),
        "combine": combine(runs[OURS]),
    }
    for name, text in parts.items():
        text = f"{about}\n\n{text}"
        print(f"{text}\n", flush=True)
        write_whole(arguments.out / f"{name}.md", text + "\n")
        if arguments.write:
            write_marked(arguments.write, name, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
