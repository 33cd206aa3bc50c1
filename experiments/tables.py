"""Tables of the paper from the available data and models, beside published figures.

    python experiments/tables.py --root ROOT [--table 1,2,7] [--model KEY=MODEL …] [--clips N]
        [--write docs/benchmarks/results.md]

ROOT is a folder of AVSBench, Ref-AVS or StampAVS. Tables 1, 2, 6, 7 and Figure 3 evaluate models. Rows without a model
and splits without data are left out. Tables 3, 4 and 5 do the same on AVSBench and Ref-AVS; on StampAVS,
`experiments/ablations.py` trains each of their rows that is not trained yet. Two tables are not in the paper:
`combine` compares the ways to combine audio with visual prompts, and `fusion`, on StampAVS, compares the fusion with
TPAVI. `experiments/tables.yaml` names the model of each row; on StampAVS, `ours` and `words` are `mini` by default. The
value of `zero-shot` is a file such as recipes/zero-shot/avsbench.yaml.

Reports are stored in --out; a second call reuses them. `--write` replaces the text between the comments
`<!-- begin table-N -->` and `<!-- end table-N -->` of a document.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import torch

import ablations
from auralsam2.config import NAMER_FOLDER
from auralsam2.errors import AuralError, UsageError
from auralsam2.evaluation.aggregate import V2_SEMANTIC
from auralsam2.model import AuralSAM2
from auralsam2.utils.atomic_io import write_file
from auralsam2.zero_shot.pipeline_config import ZeroShotConfig
from evaluation_tables import Row, Table, available_part, format_table, measure_speed, read_tables
from reporting import conditions_sentence, measurement_conditions, write_section
from runs import Runs

BUNDLED = {"ours": "mini", "words": "mini"}
ZERO_SHOT = "zero-shot"
"""Key whose value is the configuration of a zero-shot pipeline; its SAM 2 is that of `ours`."""


def parse_models(pairs: list[str], keys: set[str], defaults: dict[str, str]) -> dict[str, str]:
    """Return the models by key.

    Raises:
        UsageError: unknown key or missing model.
    """
    models = dict(defaults)
    for pair in pairs:
        key, _, name = pair.partition("=")
        if key not in keys or not name:
            raise UsageError(f"--model {pair}: give KEY=MODEL, with a key of {', '.join(sorted(keys))}")
        models[key] = name
    if ZERO_SHOT in models and "ours" not in models:
        raise UsageError(f"--model {ZERO_SHOT}={models[ZERO_SHOT]}: give ours=MODEL too, whose SAM 2 it takes")
    return models


def trained_tables(numbers: list[str]) -> dict[str, tuple[str, ablations.Table]]:
    """Return name and content of the requested tables whose rows are trained, by number."""
    by_number = {table.paper or name: (name, table) for name, table in ablations.read_tables().items()}
    return {number: by_number[number] for number in numbers if number in by_number}


def evaluate(
    tables: dict[str, Table], arguments: argparse.Namespace, chosen: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield number and text of each table with available models and data."""
    keys = {row.model for table in tables.values() for row in table.rows}
    models, runs = {}, {}
    for key in sorted(chosen.keys() & keys):
        zero_shot = ZeroShotConfig.load(Path(chosen[key])) if key == ZERO_SHOT else None
        name = chosen[key] if zero_shot is None else chosen["ours"]
        models[key] = AuralSAM2.from_pretrained(name, arguments.device, arguments.dtype)
        pipeline = None if zero_shot is None else zero_shot.pipeline(models[key])
        (arguments.out / key).mkdir(parents=True, exist_ok=True)
        out = arguments.out / key
        runs[key] = Runs(
            models[key],
            arguments.root,
            out,
            0,
            arguments.clips,
            pipeline=pipeline,
            namer=arguments.namer or own_namer(models[key]),
            second_stage=arguments.second_stage,
        )
    seconds: dict[Row, float] = {}
    for number, requested in tables.items():
        table = available_part(requested, arguments.root, models, second_stage=arguments.second_stage is not None)
        if arguments.namer is None and any(split.names[0] == V2_SEMANTIC for split in table.splits):
            print(f"table {number}: {V2_SEMANTIC} is left out: give --namer DIR", file=sys.stderr)
            table = replace(table, splits=[split for split in table.splits if split.names[0] != V2_SEMANTIC])
        if not table.rows or not table.splits:
            missing = "none of its models is given" if table.splits else f"none of its splits is in {arguments.root}"
            print(f"table {number} is left out: {missing}", file=sys.stderr)
            continue
        timed = table.timed and arguments.device == "cpu"  # processor seconds say nothing about a GPU
        if timed and not seconds.keys() >= {row for row in table.rows if row.model in models}:
            seconds |= measure_speed(models, arguments.root, table, arguments.timed)
        last = [row for row in table.rows if row.model in models][-1]
        conditions = measurement_conditions(models[last.model], 0)
        sentence = conditions_sentence(
            conditions, " and ".join(dict.fromkeys(split.names[0] for split in table.splits))
        )
        text = f"{table.title}. {sentence}\n\n{format_table(table, runs, seconds if timed else {})}"
        print(f"{text}\n", flush=True)
        write_file(arguments.out / f"table-{number}.md", (text + "\n").encode())
        yield number, text


def own_namer(model: AuralSAM2) -> Path | None:
    """Return the folder of the namer of a model; None without one."""
    folder = None if model.folder is None else model.folder / NAMER_FOLDER
    return folder if folder is not None and folder.is_dir() else None


def train(tables: dict[str, tuple[str, ablations.Table]], arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield number and text of the tables whose rows are trained."""
    plan = ablations.Plan(
        recipe=None,
        changes=(f"data.root={arguments.root}", *arguments.set),
        seeds=arguments.seeds,
        clips=arguments.clips,
        out=arguments.ablations,
    )
    for number, (name, table) in tables.items():
        yield number, ablations.compare(name, table, plan)


def main() -> int:
    """Run the command line."""
    evaluated = read_tables()
    keys = {row.model for table in evaluated.values() for row in table.rows}
    choices = list(dict.fromkeys([*evaluated, *trained_tables(["3", "4", "5", "fusion"])]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--table", default=",".join(choices), help="comma-separated; default: %(default)s")
    parser.add_argument("--model", nargs="+", default=[], metavar="KEY=MODEL", help=f"keys: {', '.join(sorted(keys))}")
    parser.add_argument("--namer", type=Path, help="namer for data with classes; default: that of the model")
    parser.add_argument("--second-stage", type=Path, help="second stage for the rows with one")
    parser.add_argument("--clips", type=int, help="evaluate only the first clips of each split")
    parser.add_argument("--timed", type=int, default=20, help="number of clips for the speed; default: %(default)s")
    parser.add_argument("--seeds", type=int, default=1, help="number of trainings per trained row")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe of trained rows"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="fp32")
    parser.add_argument("--out", type=Path, default=Path("runs/tables"), help="folder of the reports")
    parser.add_argument("--ablations", type=Path, default=Path("runs/ablations"), help="folder of the trained rows")
    parser.add_argument("--write", type=Path, help="document with sections for the tables")
    arguments = parser.parse_args()
    numbers = arguments.table.split(",")
    if unknown := [number for number in numbers if number not in choices]:
        parser.error(f"--table {unknown[0]}: choose from {', '.join(choices)}")
    if not arguments.root.is_dir():
        parser.error(f"--root {arguments.root}: no such folder")
    torch.set_num_threads(1)
    is_stampavs = (arguments.root / "stampavs.json").is_file()
    done = False
    try:
        chosen = parse_models(arguments.model, keys, BUNDLED if is_stampavs else {})
        trained = trained_tables(numbers) if is_stampavs else {}
        remaining = {number: evaluated[number] for number in numbers if number in evaluated and number not in trained}
        for number, text in chain(evaluate(remaining, arguments, chosen), train(trained, arguments)):
            done = True
            if arguments.write:
                write_section(arguments.write, f"table-{number}", text)
    except AuralError as error:
        parser.error(str(error))
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
