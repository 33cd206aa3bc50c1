"""Choose `extensions.object_score_offset` on the validation split of StampAVS.

    python experiments/object_score_offset.py ROOT --model DIR [--clips N]

The script evaluates audio alone and, if the model reads text, the expressions, once each, without an offset. For a
range of offsets it then prints M_J of audio, mean J and F of expressions with an object, and S of null expressions. A
mask counts as empty if its object score is at most the offset. With text, it counts as empty if its object score is not
positive or the mean over the clip of object score times predicted IoU is at most the offset.
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
from reporting import conditions_sentence, markdown_table, measurement_conditions
from runs import Runs

OFFSETS = (0.0, 0.5, 1.0, 1.5, 1.75, 2.0, 2.25, 2.5, 3.0)

Samples = list[dict[str, Any]]


def present_frames(sample: dict[str, Any], offset: float, *, text: bool) -> list[bool]:
    """Return for each frame whether its mask is not empty."""
    scores = sample["frames"]["object_score"]
    if text:
        confidence = fmean(score * iou for score, iou in zip(scores, sample["frames"]["predicted_iou"], strict=True))
        return [score > 0 and confidence > offset for score in scores]
    return [score > offset for score in scores]


def mean_score(samples: Samples, offset: float, score: str, *, text: bool = False) -> float:
    """Return the mean of `j` or `f` over all frames. An empty mask scores 1 in a frame without target, else 0."""
    values = [
        value if present else float(truth == 0)
        for sample in samples
        for value, truth, present in zip(
            sample["frames"][score], sample["frames"]["truth"], present_frames(sample, offset, text=text), strict=True
        )
    ]
    return fmean(values)


def null_area(samples: Samples, offset: float) -> float:
    """Return S of Ref-AVS: mean over clips of the square root of a clip's masked fraction."""
    roots = []
    for sample in samples:
        frames = zip(sample["frames"]["area"], present_frames(sample, offset, text=True), strict=True)
        roots.append(math.sqrt(fmean(area if present else 0.0 for area, present in frames)))
    return fmean(roots)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder that data build-stampavs wrote")
    parser.add_argument("--model", required=True, help="model without an offset")
    parser.add_argument("--clips", type=int, help="evaluate only the first clips of the split")
    parser.add_argument("--out", type=Path, default=Path("runs/object-score-offset"), help="folder of the reports")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = AuralSAM2.from_pretrained(arguments.model, "cpu", "fp32")
    if model.network.config.extensions.object_score_offset:
        parser.error(f"--model {arguments.model}: already has an offset: name the model that it was bundled from")
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
    print(conditions_sentence(measurement_conditions(model, 0), f"StampAVS, val, {len(audio)} clips"))
    print()
    print(markdown_table(names, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
