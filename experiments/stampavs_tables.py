"""Tables of docs/models/mini.md: scores on StampAVS by audio condition and by prompts.

    python experiments/stampavs_tables.py ROOT [--model mini] [--ref-model MODEL] [--clips N]
        [--write docs/models/mini.md]

Every split is evaluated with each audio condition: the clip's own audio, that of another clip, left and right swapped,
and silence. The expressions are evaluated with audio and text, audio alone and text alone. The scores are those of
`auralsam2 evaluate` under the protocol `per-frame`; the masks of all objects add which object the model picked. --out
has one report per run; a second call reuses them.

`--write` replaces the text between `<!-- begin stampavs -->` and `<!-- end stampavs -->` and, with `--ref-model`,
between `<!-- begin stampavs-ref -->` and `<!-- end stampavs-ref -->`.
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
from paired import clip_sums, difference, ratio
from reporting import (
    Number,
    conditions_sentence,
    describe_stampavs,
    format_number,
    markdown_table,
    measurement_conditions,
    write_section,
)
from runs import OWN, Runs, stampavs_parser
from stampavs_masks import Terms

SPLITS = (
    "test-seen", "test-new-image", "test-new-sound", "test-unseen", "test-null", "test-robust", "test-seen-hard",
)  # fmt: skip
REF_SPLITS = ("test-seen", "test-null")
REF_PROMPTS = ("audio+text", "audio", "text")
KINDS = ("silence", "noise", "offscreen")


def measure_audio(runs: Runs, split: str) -> dict[str, Any]:
    """Return all numbers of a split: by audio condition, differences to the clip's own audio, and bounds."""
    result: dict[str, Any] = {"sounds": {}, "differences": {}}
    sums: dict[str, Any] = {}
    for sound in SOUNDS:
        report = runs.report("stampavs", split, sound=sound)
        terms = runs.mask_terms(split, sound, report["samples"])
        numbers: dict[str, Number | None] = dict(report["summary"])
        numbers["picked"] = _ratio(terms, "picked", runs.seed)
        steady = {clip: (values["steady"][0], values["steady truth"][0]) for clip, values in terms.items()}
        numbers["steadiness"] = ratio(steady, runs.seed)
        result["sounds"][sound] = {"scored": report["scored"], "numbers": numbers}
        if sound == OWN:
            names = ("random object", "all objects", "filled boxes")
            result["bounds"] = {name: _ratio(terms, name, runs.seed) for name in names}
        sums[sound] = {
            "M_J": clip_sums(report["samples"]),
            "J with target": clip_sums(report["samples"], with_target=True),
        }
    for sound in SOUNDS[1:]:
        result["differences"][sound] = {
            name: difference(sums[OWN][name], sums[sound][name], runs.seed) for name in sums[OWN]
        }
    return result


def measure_text(runs: Runs, split: str) -> dict[str, Any]:
    """Return all numbers of a split's expressions: by prompts, and the gain in J of audio and text together."""
    reports = {prompts: runs.report("stampavs-ref", split, prompts) for prompts in REF_PROMPTS}
    sums = {prompts: clip_sums(report["samples"]) for prompts, report in reports.items()}
    both = REF_PROMPTS[0]
    return {
        "prompts": {
            prompts: {"scored": report["scored"], "numbers": report["summary"]} for prompts, report in reports.items()
        },
        "differences": {prompts: difference(sums[both], sums[prompts], runs.seed) for prompts in REF_PROMPTS[1:]},
    }


def audio_tables(results: dict[str, Any]) -> str:
    """Format the output of `measure_audio`, by split, as Markdown."""
    scores, differences, robust, bounds = [], [], [], []
    for split, result in results.items():
        for sound, run in result["sounds"].items():
            numbers = run["numbers"]
            names = ("M_J", "J with target", "picked", "presence AUROC", "steadiness")
            scores.append([split, sound, str(run["scored"]), *(format_number(numbers.get(name)) for name in names)])
            areas = [f"false area of {kind}" for kind in KINDS]
            areas += ["false area in silence", "false area of sound without target"]
            robust.append([split, sound, *(format_number(numbers.get(name), 4) for name in areas)])
        for sound, values in result["differences"].items():
            cells = [format_number(values[name]) for name in ("M_J", "J with target")]
            differences.append([split, f"own minus {sound}", *cells])
        bounds.append([split, *map(format_number, result["bounds"].values())])
    return "\n\n".join(
        (
            markdown_table(
                ["split", "sound", "clips", "M_J", "J with target", "right object", "presence", "steadiness"], scores
            ),
            markdown_table(["split", "sound", "difference in M_J", "in J with target"], differences),
            markdown_table(["split", "sound", *KINDS, "frames in silence", "frames of sound without target"], robust),
            markdown_table(["split", "random object", "all objects", "filled boxes"], bounds),
            "Brackets: 95 % intervals over clips. J with target: frames in which a visible object sounds. Right "
            "object: fraction of these frames in which the mask overlaps most with a sounding object. Presence: "
            "AUROC of the object score. Steadiness: IoU of the masks of neighbouring frames while the same objects "
            "sound, divided by that of the ground truth. The third table is the masked fraction of frames without a "
            "target, by kind of clip and over all frames. The last table is J with target of guesses with exact "
            "masks: one random object, all objects, or the filled boxes of the sounding objects.",
        )
    )


def text_tables(results: dict[str, Any]) -> str:
    """Format the output of `measure_text`, by split, as Markdown."""
    names = ("M_J", "M_F", "J&F", "S")
    scores = [
        [split, prompts, str(run["scored"]), *(format_number(run["numbers"].get(name)) for name in names)]
        for split, result in results.items()
        for prompts, run in result["prompts"].items()
    ]
    differences = [
        [split, f"{REF_PROMPTS[0]} minus {prompts}", format_number(number)]
        for split, result in results.items()
        for prompts, number in result["differences"].items()
    ]
    return "\n\n".join(
        (
            markdown_table(["split", "prompts", "sentences", "J", "F", "J&F", "S"], scores),
            markdown_table(["split", "difference", "in J"], differences),
        )
    )


def _ratio(terms: dict[str, Terms], name: str, seed: int) -> Number | None:
    return ratio({clip: values[name] for clip, values in terms.items()}, seed)


def main() -> int:
    """Run the command line."""
    parser = stampavs_parser((__doc__ or "").partition("\n")[0], SPLITS, "runs/stampavs-tables")
    parser.add_argument("--ref-model", help="model with text, for the expressions; default: none")
    parser.add_argument("--write", type=Path, help="document with sections for the tables")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = describe_stampavs(arguments.root)
    result: dict[str, Any] = {"data": data}
    parts: dict[str, str] = {}
    evaluations = [
        ("stampavs", arguments.model, measure_audio, tuple(arguments.splits.split(",")), audio_tables),
        ("stampavs-ref", arguments.ref_model, measure_text, REF_SPLITS, text_tables),
    ]
    for name, model_name, measure, splits, format_tables in evaluations[: 1 + bool(arguments.ref_model)]:
        model = AuralSAM2.from_pretrained(model_name, "cpu", arguments.dtype)
        out = arguments.out / Path(model_name).name
        out.mkdir(parents=True, exist_ok=True)
        save_masks = name == "stampavs"
        runs = Runs(model, arguments.root, out, arguments.seed, arguments.clips, save_masks=save_masks)
        conditions = measurement_conditions(model, arguments.seed)
        numbers = {split: measure(runs, split) for split in splits}
        result[name] = {"head": conditions, "splits": numbers}
        parts[name] = f"{conditions_sentence(conditions, data)}\n\n{format_tables(numbers)}"
        print(parts[name], flush=True)
    write_file(arguments.out / "tables.json", (json.dumps(plain(result), indent=1) + "\n").encode())
    write_file(arguments.out / "tables.md", ("\n\n".join(parts.values()) + "\n").encode())
    if arguments.write:
        for name, text in parts.items():
            write_section(arguments.write, name, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
