"""Choose `extensions.object_score_offset` on the validation split of StampAVS.

    python experiments/object_score_offset.py ROOT --model DIR [--clips N]

Evaluates audio alone and, if the model reads text, the expressions, once each, without an offset. Then prints, for a
range of offsets, M_J of audio, mean J and F of expressions with an object, and S of null expressions. A mask counts as
empty if its object score is not above the offset; with text, if the mean object score of the clip is not above it.
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

OFFSETS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)

Samples = list[dict[str, Any]]


def kept_masks(sample: dict[str, Any], offset: float, *, text: bool) -> list[bool]:
    """Return for each frame whether its mask is kept: by the frame's object score, with text by the clip's mean too."""
    scores = sample["frames"]["object_score"]
    if text:
        return [score > 0 and fmean(scores) > offset for score in scores]
    return [score > offset for score in scores]


def mean_score(samples: Samples, offset: float, score: str, *, text: bool = False) -> float:
    """Return the mean of `j` or `f` over all frames. An empty mask scores 1 in a frame without target, else 0."""
    values = [
        value if kept else float(truth == 0)
        for sample in samples
        for value, truth, kept in zip(
            sample["frames"][score], sample["frames"]["truth"], kept_masks(sample, offset, text=text), strict=True
        )
    ]
    return fmean(values)


def null_area(samples: Samples, offset: float) -> float:
    """Return S of Ref-AVS: square root of the masked fraction of a clip, mean over clips."""
    roots = []
    for sample in samples:
        frames = zip(sample["frames"]["area"], kept_masks(sample, offset, text=True), strict=True)
        roots.append(math.sqrt(fmean(area if kept else 0.0 for area, kept in frames)))
    return fmean(roots)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder that data build-stampavs wrote")
    parser.add_argument("--model", required=True, help="a model without an offset")
    parser.add_argument("--clips", type=int, help="only the first clips of the split")
    parser.add_argument("--out", type=Path, default=Path("runs/object-score-offset"), help="folder of the reports")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = AuralSAM2.from_pretrained(arguments.model, "cpu", "fp32")
    if model.network.config.extensions.object_score_offset:
        parser.error(f"--model {arguments.model}: has an offset already; use the model that it was bundled from")
    arguments.out.mkdir(parents=True, exist_ok=True)
    runs = Runs(model, arguments.root, arguments.out, 0, arguments.clips)
    audio: Samples = runs.report("stampavs", "val")["samples"]
    expressions: Samples = []
    if model.network.text_encoder is not None:
        expressions = runs.report("stampavs-ref", "val", "audio+text")["samples"]
    objects, null = ([sample for sample in expressions if sample["null"] == kind] for kind in (False, True))
    rows = []
    for offset in OFFSETS:
        numbers = [mean_score(audio, offset, "j")]
        if expressions:
            numbers += [*(mean_score(objects, offset, score, text=True) for score in "jf"), null_area(null, offset)]
        rows.append([f"{offset:g}", *(f"{number:.3f}" for number in numbers)])
    names = ["offset", "audio, M_J", *(["sentences, J", "sentences, F", "null, S"] if expressions else [])]
    print(line(heading(model, 0), f"StampAVS, val, {len(audio)} clips"))
    print()
    print(table(names, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
