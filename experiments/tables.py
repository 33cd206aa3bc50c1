"""Tables of the paper from the available data and models, beside published figures.

    python experiments/tables.py --root ROOT [--table 1,2,7] [--model KEY=MODEL …] [--clips N]
        [--write docs/benchmarks/results.md]

ROOT is a folder of AVSBench, Ref-AVS or StampAVS. Tables 1, 2, 6, 7 and Figure 3 evaluate models; rows of models that
are not given and splits that are not at ROOT are left out. Tables 3, 4 and 5 do so as well, but on StampAVS their rows
are trained, each from the start, where they are not trained yet (`experiments/ablations.py`). Beyond the paper:
`combine`, all ways to bring together what is heard and what is pointed at, and, on StampAVS, `fusion`, the block that
the paper's was adapted from. `experiments/tables.yaml` names the model of each row; on StampAVS `ours` and `words` are
`mini` where nothing else is given. `zero-shot` is a file such as recipes/zero-shot/avsbench.yaml.

What is evaluated is kept in --out, and a second call goes on where the first one stopped. `--write` puts each table
between its marks, `<!-- begin table-N -->` and `<!-- end table-N -->`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import torch

import ablations
from auralsam2.errors import AuralError, UsageError
from auralsam2.model import AuralSAM2
from auralsam2.utils.atomic_io import write_file
from auralsam2.zero_shot.pipeline_config import ZeroShotConfig
from evaluated import Row, Table, defined, measured, possible, speed
from marked import write_marked
from runs import Runs, heading, line

RECIPE = Path(__file__).parents[1] / "recipes/stampavs-mini-ablations.yaml"
BUNDLED = {"ours": "mini", "words": "mini"}
ZERO_SHOT = "zero-shot"
"""Key of a zero-shot pipeline on the SAM 2 of `ours`, which is a file, not a model."""


def given(pairs: list[str], keys: set[str], bundled: dict[str, str]) -> dict[str, str]:
    """Return the models by key.

    Raises:
        UsageError: a key is unknown, or there is no model behind it.
    """
    found = dict(bundled)
    for pair in pairs:
        key, _, name = pair.partition("=")
        if key not in keys or not name:
            raise UsageError(f"--model {pair}: give KEY=MODEL, with a key of {', '.join(sorted(keys))}")
        found[key] = name
    if ZERO_SHOT in found and "ours" not in found:
        raise UsageError(f"--model {ZERO_SHOT}={found[ZERO_SHOT]}: give ours=MODEL too, whose SAM 2 it takes")
    return found


def trained(asked: list[str]) -> dict[str, tuple[str, ablations.Table]]:
    """Return the requested tables with trained rows, by number: name and table."""
    known = ablations.known_tables()
    numbers = {each.paper or name: (name, each) for name, each in known.items()}
    return {number: numbers[number] for number in asked if number in numbers}


def evaluate(
    asked: dict[str, Table], arguments: argparse.Namespace, names: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield the possible tables with their numbers."""
    needed = {row.model for each in asked.values() for row in each.rows}
    models, runs = {}, {}
    for key in sorted(names.keys() & needed):
        roles = ZeroShotConfig.load(Path(names[key])) if key == ZERO_SHOT else None
        name = names[key] if roles is None else names["ours"]
        models[key] = AuralSAM2.from_pretrained(name, arguments.device, arguments.dtype)
        pipeline = None if roles is None else roles.pipeline(models[key])
        (arguments.out / key).mkdir(parents=True, exist_ok=True)
        runs[key] = Runs(models[key], arguments.root, arguments.out / key, 0, arguments.clips, pipeline=pipeline)
    seconds: dict[Row, float] = {}
    for number, table in asked.items():
        chosen = possible(table, arguments.root, models)
        if not chosen.rows or not chosen.places:
            missing = "none of its models is given" if chosen.places else f"none of its splits is in {arguments.root}"
            print(f"table {number} is left out: {missing}", file=sys.stderr)
            continue
        # Seconds of a processor: elsewhere they tell nothing.
        timed = chosen.timed and arguments.device == "cpu"
        if timed and not seconds.keys() >= set(chosen.rows):
            seconds |= speed(models, arguments.root, chosen, arguments.timed)
        head = heading(models[chosen.rows[-1].model], 0)
        about = line(head, " and ".join(dict.fromkeys(place.names[0] for place in chosen.places)))
        text = f"{chosen.title}. {about}\n\n{measured(chosen, runs, seconds if timed else {})}"
        print(f"{text}\n", flush=True)
        write_file(arguments.out / f"table-{number}.md", (text + "\n").encode())
        yield number, text


def train(asked: dict[str, tuple[str, ablations.Table]], arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Yield the tables with trained rows and their numbers."""
    plan = ablations.Plan(
        recipe=RECIPE,
        changes=(f"data.root={arguments.root}", *arguments.set),
        seeds=arguments.seeds,
        clips=arguments.clips,
        out=arguments.ablations,
    )
    for number, (name, table) in asked.items():
        yield number, ablations.compare(name, table, plan)


def main() -> int:
    """Run the command line."""
    known = defined()
    keys = {row.model for each in known.values() for row in each.rows}
    everything = list(dict.fromkeys([*known, *trained(["3", "4", "5", "fusion"])]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--table", default=",".join(everything), help="comma-separated; left out: %(default)s")
    parser.add_argument("--model", nargs="+", default=[], metavar="KEY=MODEL", help=f"of {', '.join(sorted(keys))}")
    parser.add_argument("--clips", type=int, help="only the first ones of each split")
    parser.add_argument("--timed", type=int, default=20, help="clips over which speed is measured")
    parser.add_argument("--seeds", type=int, default=1, help="of rows that are trained")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe of these rows"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="fp32")
    parser.add_argument("--out", type=Path, default=Path("runs/tables"), help="folder of the reports")
    parser.add_argument("--ablations", type=Path, default=Path("runs/ablations"), help="folder of the rows' trainings")
    parser.add_argument("--write", type=Path, help="document with the marks of the tables")
    arguments = parser.parse_args()
    asked = arguments.table.split(",")
    if unknown := [number for number in asked if number not in everything]:
        parser.error(f"--table {unknown[0]}: choose from {', '.join(everything)}")
    if not arguments.root.is_dir():
        parser.error(f"--root {arguments.root}: no such folder")
    torch.set_num_threads(1)
    stamp = (arguments.root / "stampavs.json").is_file()
    done = False
    try:
        names = given(arguments.model, keys, BUNDLED if stamp else {})
        rows = trained(asked) if stamp else {}
        others = {number: known[number] for number in asked if number in known and number not in rows}
        for number, text in chain(evaluate(others, arguments, names), train(rows, arguments)):
            done = True
            if arguments.write:
                write_marked(arguments.write, f"table-{number}", text)
    except AuralError as error:
        parser.error(str(error))
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
