"""How cautious a model should be: what its masks lose and spare by a higher bar for the object score.

    python experiments/caution.py ROOT --model DIR [--clips N]

On the validation split of StampAVS, the sounds alone and, with a model that reads, the sentences, each once, with masks
as they are; for a range of `extensions.object_score_offset` the mean J of sounds, the mean J and F of sentences that
refer to something, and S of those that refer to nothing. A mask whose object score is not above the offset counts as
empty; of a sentence, all masks of a clip whose mean score is not above it.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from auralsam2.model import AuralSAM2
from marked import table
from runs import Runs, heading, line

CAUTIONS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)

Samples = list[dict[str, Any]]


def shown(sample: dict[str, Any], caution: float, *, reads: bool) -> list[bool]:
    """In which frames a mask is left: by the frame's own object score, or, of what is read, by the clip's mean too."""
    scores = sample["frames"]["object_score"]
    if reads:
        return [score > 0 and fmean(scores) > caution for score in scores]
    return [score > caution for score in scores]


def agreement(samples: Samples, caution: float, score: str, *, reads: bool = False) -> float:
    """Mean of a score, `j` or `f`, over all frames: of an empty mask 1 where nothing is to be found, else 0."""
    values = [
        value if there else float(truth == 0)
        for sample in samples
        for value, truth, there in zip(
            sample["frames"][score], sample["frames"]["truth"], shown(sample, caution, reads=reads), strict=True
        )
    ]
    return fmean(values)


def spilt(samples: Samples, caution: float) -> float:
    """S of Ref-AVS, of what is read: the root of the share of a clip that is masked, mean over clips."""
    roots = []
    for sample in samples:
        frames = zip(sample["frames"]["area"], shown(sample, caution, reads=True), strict=True)
        roots.append(math.sqrt(fmean(area if there else 0.0 for area, there in frames)))
    return fmean(roots)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder that data build-stampavs wrote")
    parser.add_argument("--model", required=True, help="a model whose caution is 0")
    parser.add_argument("--clips", type=int, help="only the first ones of the split")
    parser.add_argument("--out", type=Path, default=Path("runs/caution"), help="folder of the reports")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = AuralSAM2.from_pretrained(arguments.model, "cpu", "fp32")
    if model.network.config.extensions.object_score_offset:
        parser.error(f"--model {arguments.model}: has a caution already; take the one that it was bundled from")
    arguments.out.mkdir(parents=True, exist_ok=True)
    runs = Runs(model, arguments.root, arguments.out, 0, arguments.clips)
    heard: Samples = runs.report("stampavs", "val")["samples"]
    read: Samples = []
    if model.network.text_encoder is not None:
        read = runs.report("stampavs-ref", "val", "audio+text")["samples"]
    told, null = ([sample for sample in read if sample["null"] == kind] for kind in (False, True))
    rows = []
    for caution in CAUTIONS:
        numbers = [agreement(heard, caution, "j")]
        if read:
            numbers += [*(agreement(told, caution, score, reads=True) for score in "jf"), spilt(null, caution)]
        rows.append([f"{caution:g}", *(f"{number:.3f}" for number in numbers)])
    names = ["caution", "sounds, M_J", *(["sentences, J", "sentences, F", "null, S"] if read else [])]
    print(line(heading(model, 0), f"StampAVS, val, {len(heard)} clips"))
    print()
    print(table(names, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
