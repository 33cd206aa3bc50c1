"""Tables of docs/models/mini.md: scores on StampAVS by audio condition and by prompts.

    python experiments/stampavs_tables.py ROOT [--model mini] [--ref-model MODEL] [--clips N]
        [--write docs/models/mini.md]

Every split is evaluated four times, with the sound as it is, with that of another clip, with left and right swapped,
and in silence; the expressions three times, with sound and text and with either alone. The scores are those of
`auralsam2 evaluate` under the protocol `per-frame`; the outlines of all objects add which object was picked. One
report a run lies in --out, and a second call goes on where the first one stopped.

`--write` puts the tables between the lines `<!-- begin stampavs -->`, `<!-- end stampavs -->` and, where there is a
model that reads, `<!-- begin stampavs-ref -->`, `<!-- end stampavs-ref -->`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from auralsam2.evaluation.options import SOUNDS
from auralsam2.model import AuralSAM2
from auralsam2.utils.atomic_io import write_file
from auralsam2.utils.json_stream import plain
from marked import table, write_marked
from paired import Number, cell, clip_sums, difference, ratio
from runs import OWN, Runs, describe_stampavs, heading, line, stampavs_parser
from stampavs_masks import Terms

SPLITS = (
    "test-seen", "test-new-image", "test-new-sound", "test-unseen", "test-null", "test-robust", "test-seen-hard",
)  # fmt: skip
REF_SPLITS = ("test-seen", "test-null")
REF_PROMPTS = ("audio+text", "audio", "text")
KINDS = ("silence", "noise", "offscreen")


def hearing(runs: Runs, split: str) -> dict[str, Any]:
    """Return all numbers of a split: by audio condition, differences to the clip's own audio, and bounds."""
    found: dict[str, Any] = {"sounds": {}, "differences": {}}
    sums: dict[str, Any] = {}
    for sound in SOUNDS:
        report = runs.report("stampavs", split, sound=sound)
        terms = runs.outlines(split, sound, report["samples"])
        numbers: dict[str, Number | None] = dict(report["summary"])
        numbers["picked"] = _ratio(terms, "picked", runs.seed)
        steady = {clip: (each["steady"][0], each["steady truth"][0]) for clip, each in terms.items()}
        numbers["steadiness"] = ratio(steady, runs.seed)
        found["sounds"][sound] = {"scored": report["scored"], "numbers": numbers}
        if sound == OWN:
            names = ("random object", "all objects", "filled boxes")
            found["bounds"] = {name: _ratio(terms, name, runs.seed) for name in names}
        sums[sound] = {
            "M_J": clip_sums(report["samples"]),
            "J with target": clip_sums(report["samples"], with_target=True),
        }
    for sound in SOUNDS[1:]:
        found["differences"][sound] = {
            name: difference(sums[OWN][name], sums[sound][name], runs.seed) for name in sums[OWN]
        }
    return found


def reading(runs: Runs, split: str) -> dict[str, Any]:
    """Return all numbers of a split's expressions: by prompts, and the gain in J of audio and text together."""
    reports = {prompts: runs.report("stampavs-ref", split, prompts) for prompts in REF_PROMPTS}
    sums = {prompts: clip_sums(report["samples"]) for prompts, report in reports.items()}
    both = REF_PROMPTS[0]
    return {
        "prompts": {name: {"scored": each["scored"], "numbers": each["summary"]} for name, each in reports.items()},
        "differences": {name: difference(sums[both], sums[name], runs.seed) for name in REF_PROMPTS[1:]},
    }


def hearing_tables(results: dict[str, Any]) -> str:
    """Format the tables of `hearing` as Markdown."""
    scores, differences, robust, bounds = [], [], [], []
    for split, found in results.items():
        for sound, run in found["sounds"].items():
            numbers = run["numbers"]
            names = ("M_J", "J with target", "picked", "presence AUROC", "steadiness")
            scores.append([split, sound, str(run["scored"]), *(cell(numbers.get(name)) for name in names)])
            kinds = [cell(numbers.get(f"false area of {kind}"), 4) for kind in KINDS]
            others = ("false area in silence", "false area of sound without target")
            robust.append([split, sound, *kinds, *(cell(numbers.get(name), 4) for name in others)])
        for sound, each in found["differences"].items():
            differences.append([split, f"own minus {sound}", *(cell(each[name]) for name in ("M_J", "J with target"))])
        bounds.append([split, *(cell(found["bounds"][name]) for name in found["bounds"])])
    return "\n\n".join(
        (
            table(
                ["split", "sound", "clips", "M_J", "J with target", "right object", "presence", "steadiness"], scores
            ),
            table(["split", "sound", "difference in M_J", "in J with target"], differences),
            table(["split", "sound", *KINDS, "frames in silence", "frames of sound without target"], robust),
            table(["split", "random object", "all objects", "filled boxes"], bounds),
            "Brackets: 95 % intervals over clips. J with target: frames in which a visible object sounds. Right "
            "object: fraction of these frames in which the mask overlaps most with a sounding object. Presence: "
            "AUROC of the object score. Steadiness: IoU of the masks of neighbouring frames while the same objects "
            "sound, divided by that of the ground truth. The third table is the masked fraction of frames without a "
            "target, by kind of clip and over all frames. The last table is J with target of guesses with exact "
            "masks: one random object, all objects, or the filled boxes of the sounding objects.",
        )
    )


def reading_tables(results: dict[str, Any]) -> str:
    """Format the tables of `reading` as Markdown."""
    scores = [
        [split, prompts, str(run["scored"]), *(cell(run["numbers"].get(name)) for name in ("M_J", "M_F", "J&F", "S"))]
        for split, found in results.items()
        for prompts, run in found["prompts"].items()
    ]
    differences = [
        [split, f"{REF_PROMPTS[0]} minus {prompts}", cell(number)]
        for split, found in results.items()
        for prompts, number in found["differences"].items()
    ]
    return "\n\n".join(
        (
            table(["split", "prompts", "sentences", "J", "F", "J&F", "S"], scores),
            table(["split", "difference", "in J"], differences),
        )
    )


def _ratio(terms: dict[str, Terms], name: str, seed: int) -> Number | None:
    return ratio({clip: each[name] for clip, each in terms.items()}, seed)


def main() -> int:
    """Run the command line."""
    parser = stampavs_parser((__doc__ or "").partition("\n")[0], SPLITS, "runs/stampavs-tables")
    parser.add_argument("--ref-model", help="a model that reads, for the expressions; left out, they are left out")
    parser.add_argument("--write", type=Path, help="document with the marks of the tables")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = describe_stampavs(arguments.root)
    result: dict[str, Any] = {"data": data}
    parts: dict[str, str] = {}
    jobs = [("stampavs", arguments.model, hearing, tuple(arguments.splits.split(",")), hearing_tables)]
    if arguments.ref_model:
        jobs.append(("stampavs-ref", arguments.ref_model, reading, REF_SPLITS, reading_tables))
    for name, chosen, measure, splits, tables in jobs:
        model = AuralSAM2.from_pretrained(chosen, "cpu", arguments.dtype)
        out = arguments.out / Path(chosen).name
        out.mkdir(parents=True, exist_ok=True)
        runs = Runs(model, arguments.root, out, arguments.seed, arguments.clips, keep_masks=name == "stampavs")
        head = heading(model, arguments.seed)
        found = {split: measure(runs, split) for split in splits}
        result[name] = {"head": head, "splits": found}
        parts[name] = f"{line(head, data)}\n\n{tables(found)}"
        print(parts[name], flush=True)
    write_file(arguments.out / "tables.json", (json.dumps(plain(result), indent=1) + "\n").encode())
    write_file(arguments.out / "tables.md", ("\n\n".join(parts.values()) + "\n").encode())
    if arguments.write:
        for name, text in parts.items():
            write_marked(arguments.write, name, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
