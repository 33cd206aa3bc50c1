"""Effect of each step of post-processing on J and F, on StampAVS.

    python experiments/postprocessing.py ROOT [--model mini] [--splits test-seen] [--clips N]
        [--write docs/guide/export.md]

Each clip is predicted once, by its own audio, and scored without and with each step at the size of the protocol. J is
that of AVSBench (the share of background where there is no target), F that of the binary mask (β² = 0.3), boundary F
that of the contours. A feathered edge is thresholded at one half. Differences to the masks without post-processing have
95% bootstrap intervals over clips.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from auralsam2.data import open_dataset
from auralsam2.data.load import load_clip
from auralsam2.data.sample import LoadedClip
from auralsam2.evaluation.metrics import PixelCounts, boundary_f, f_at, jaccard
from auralsam2.evaluation.options import EvaluationOptions
from auralsam2.evaluation.predictor import AuralPredictor
from auralsam2.model import AuralSAM2
from auralsam2.outputs.cutouts import AlphaOptions
from auralsam2.outputs.postprocessing import PostProcessing, postprocess_items
from paired import Sums, difference, ratio
from reporting import (
    conditions_sentence,
    describe_stampavs,
    format_number,
    markdown_table,
    measurement_conditions,
    publish,
)
from runs import stampavs_parser

NONE = "none"
STEPS = {
    NONE: PostProcessing(),
    "`--fill-holes`": PostProcessing(fill_holes=True),
    "`--min-area 50`": PostProcessing(min_area=50),
    "`--min-area 200`": PostProcessing(min_area=200),
    "`--grow 1`": PostProcessing(grow=1),
    "`--grow -1`": PostProcessing(grow=-1),
    "`--grow 3`": PostProcessing(grow=3),
    "`--feather 2`": PostProcessing(feather=2),
    "`--smooth 3`": PostProcessing(smooth=3),
    "`--fill-holes --min-area 200`": PostProcessing(fill_holes=True, min_area=200),
}
SCORES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "J": lambda masks, labels: jaccard(PixelCounts.of(masks, labels)),
    "F": lambda masks, labels: f_at(PixelCounts.of(masks, labels)),
    "boundary F": boundary_f,
}


def apply_steps(masks: np.ndarray, steps: PostProcessing) -> np.ndarray:
    """Post-process the (T, H, W) bool masks of one object; a feathered edge is thresholded at one half."""
    items = postprocess_items(masks, steps, lambda _mask: 0, lambda mask: mask, lambda _old, mask: mask)
    alpha = AlphaOptions(feather=steps.feather)
    return np.stack([alpha.alpha(mask) > 127 for mask in items])


def score_steps(predictor: AuralPredictor, clip: LoadedClip) -> dict[str, dict[str, float]]:
    """Return the sums of the scores over the supervised frames of a clip, by step and score."""
    prediction = predictor.predict(clip, predictor.prepare(clip))
    height, width = clip.labels.shape[1:]
    logits = torch.stack([prediction.frame_logits(t, (height, width)) for t in range(len(clip.labels))])
    masks = (logits > 0).numpy()
    scores: dict[str, dict[str, float]] = {}
    for name, steps in STEPS.items():
        changed = torch.from_numpy(apply_steps(masks, steps))[clip.supervised]
        labels = clip.labels[clip.supervised]
        scores[name] = {score: float(function(changed, labels).sum()) for score, function in SCORES.items()}
    return scores


def main() -> int:
    """Run the command line."""
    parser = stampavs_parser(__doc__.splitlines()[0], ("test-seen",), "runs/postprocessing")
    parser.add_argument("--write", type=Path, help="document with the section `postprocessing`")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = AuralSAM2.from_pretrained(arguments.model, "cpu", arguments.dtype)
    sums: dict[tuple[str, str], Sums] = defaultdict(dict)
    clips = 0
    for split in arguments.splits.split(","):
        options = EvaluationOptions(dataset="stampavs", split=split, seed=arguments.seed)
        predictor = AuralPredictor(model, options)
        for sample in list(open_dataset("stampavs", arguments.root).listing(split).samples)[: arguments.clips]:
            clip = load_clip(sample, options.rules.size)
            clips += 1
            for step, scores in score_steps(predictor, clip).items():
                for score, total in scores.items():
                    sums[step, score][sample.id] = total, float(clip.supervised.sum())
    seed = arguments.seed
    rows = []
    for step in STEPS:
        cells = [step]
        for score in SCORES:
            mean = ratio(sums[step, score], seed)
            change = None if step == NONE else difference(sums[step, score], sums[NONE, score], seed)
            cells += ["-" if mean is None else f"{mean['value']:.3f}", format_number(change)]
        rows.append(cells)
    head = ["step", *(name for score in SCORES for name in (score, "difference"))]
    data = f"{describe_stampavs(arguments.root)}, {clips} clips of {arguments.splits}"
    text = f"{markdown_table(head, rows)}\n\n{conditions_sentence(measurement_conditions(model, seed), data)}"
    publish(text, arguments.write, "postprocessing")
    return 0


if __name__ == "__main__":
    sys.exit(main())
