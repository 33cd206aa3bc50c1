"""Score a model with parts of its prompts on StampAVS.

    python experiments/prompt_parts.py ROOT [--model mini] [--splits NAMES] [--clips N]
        [--write DOCUMENT]

Each row evaluates the same weights with the prompts of Eq. 5 or the coarse mask of `extensions.predict_coarse_mask`
switched on or off. Reports in --out are reused.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from auralsam2.errors import UsageError
from auralsam2.model import AuralSAM2
from auralsam2.modeling.network import AuralNetwork
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

SPLITS = ("test-seen", "test-new-image", "test-unseen")


@dataclass(frozen=True, kw_only=True)
class PromptParts:
    """Prompts that reach the mask decoder.

    Attributes:
        name: name of the row.
        dense: dense prompts r_v, added to the image embedding.
        sparse: sparse prompts r_a, added to the mask tokens.
        coarse: the coarse mask, through SAM 2's mask prompt.
    """

    name: str
    dense: bool = False
    sparse: bool = False
    coarse: bool = False


PARTS = (
    PromptParts(name="dense and sparse", dense=True, sparse=True),
    PromptParts(name="dense only", dense=True),
    PromptParts(name="sparse only", sparse=True),
    PromptParts(name="prompts zeroed"),
    PromptParts(name="coarse mask only", coarse=True),
    PromptParts(name="dense, sparse and coarse mask", dense=True, sparse=True, coarse=True),
)
"""Rows of the table; the first one is the reference of the differences."""


def with_parts(model: AuralSAM2, parts: PromptParts) -> AuralSAM2:
    """Copy a model with some of its prompts; without dense and sparse prompts, their gains are zero.

    Raises:
        UsageError: the model has no gains, or no frame-wise attention.
    """
    network = model.network
    extensions = network.config.extensions
    if not isinstance(network, AuralNetwork) or not extensions.standardize_inputs:
        raise UsageError(
            f"{model.name}: prompts have no gains that could be zero: choose a model with them, such as mini"
        )
    if extensions.attention_scope != "frame":
        raise UsageError(f"{model.name}: a coarse mask needs extensions.attention_scope frame")
    none = not (parts.dense or parts.sparse)
    config = dataclasses.replace(
        network.config,
        prompting=dataclasses.replace(network.config.prompting, dense=parts.dense or none, sparse=parts.sparse or none),
        extensions=dataclasses.replace(extensions, predict_coarse_mask=parts.coarse),
    )
    copy = AuralNetwork(config, network.sam2, network.text_encoder)
    copy.load_trained(network.trained_state(), model.name)
    if none:
        with torch.no_grad():
            copy.fuser.visual_gains.zero_()
            copy.fuser.audio_gains.zero_()
    return AuralSAM2(copy, model.name, model.dtype)


def evaluate_parts(
    model: AuralSAM2, root: Path, out: Path, splits: list[str], clips: int | None, seed: int
) -> list[dict[str, Number | str | None]]:
    """Evaluate all rows on all splits; return a dictionary for each row of the table."""
    rows: list[dict[str, Number | str | None]] = []
    reference: dict[str, dict[str, tuple[float, float]]] = {}
    for parts in PARTS:
        folder = out / parts.name.replace(",", "").replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        runs = Runs(with_parts(model, parts), root, folder, seed, clips, save_masks=True)
        for split in splits:
            report = runs.report("stampavs", split)
            terms = runs.mask_terms(split, OWN, report["samples"])
            sums = clip_sums(report["samples"])
            summary = report["summary"]
            rows.append(
                {
                    "split": split,
                    "prompts": parts.name,
                    "M_J": summary["M_J"],
                    "J with target": summary.get("J with target"),
                    "right object": ratio({clip: each["picked"] for clip, each in terms.items()}, seed),
                    "difference": difference(sums, reference[split], seed) if split in reference else None,
                }
            )
            reference.setdefault(split, sums)
    return sorted(rows, key=lambda row: splits.index(str(row["split"])))


def parts_table(rows: list[dict[str, Number | str | None]]) -> str:
    """Format the rows as Markdown."""
    names = ("M_J", "J with target", "right object", "difference")
    head = ["split", "prompts", *names[:-1], f"M_J minus that of {PARTS[0].name}"]
    cells = [
        [str(row["split"]), str(row["prompts"]), *(format_number(row[name]) for name in names)]  # type: ignore[arg-type]
        for row in rows
    ]
    return markdown_table(head, cells)


def main() -> int:
    """Run the command line."""
    parser = stampavs_parser((__doc__ or "").partition("\n")[0], SPLITS, "runs/prompt-parts")
    parser.add_argument("--write", type=Path, help="document with the section `prompt-parts`")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = AuralSAM2.from_pretrained(arguments.model, "cpu", arguments.dtype)
    splits = arguments.splits.split(",")
    rows = evaluate_parts(model, arguments.root, arguments.out, splits, arguments.clips, arguments.seed)
    conditions = measurement_conditions(model, arguments.seed)
    text = f"{conditions_sentence(conditions, describe_stampavs(arguments.root))}\n\n{parts_table(rows)}"
    print(text, flush=True)
    write_file(arguments.out / "parts.json", (json.dumps(plain(rows), indent=1) + "\n").encode())
    if arguments.write:
        write_section(arguments.write, "prompt-parts", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
