"""Semantic scores of the namer on StampAVS: mIoU and F over the categories, and the time of naming.

    python experiments/names.py ROOT [--splits test-seen,test-new-image] [--clips N] [--write DOCUMENT]

Compares the model's own masks, separated into sources, with the true masks of the sounding objects, and with own masks
that have the true names, the best that any namer can reach. Each source gets
one category, from all its frames. The scores are those of AVSBench-semantic, the mean over the categories that sound in
the split; the background does not count. `--write` replaces the section `names` of a document.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from auralsam2.data import open_dataset
from auralsam2.data.load import load_clip
from auralsam2.data.sample import Sample
from auralsam2.errors import AuralError, InputError
from auralsam2.evaluation.named_predictor import name_track
from auralsam2.evaluation.options import EvaluationOptions
from auralsam2.evaluation.predictor import AuralPredictor
from auralsam2.evaluation.semantic import SemanticSums, semantic_sums
from auralsam2.inference.tracker import full_size
from auralsam2.model import AuralSAM2, inference_context, streaming_network
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.modeling.object_namer import ObjectNamer
from auralsam2.modeling.preprocess import normalise
from auralsam2.stampavs.remix import read_scene
from auralsam2.training.dataset import object_masks
from reporting import conditions_sentence, markdown_table, measurement_conditions, publish
from runs import splits_parser
from separation import separated, true_tracks

ORACLE = "own masks, true names"


@torch.inference_mode()
def label_maps(
    tracks: Sequence[torch.Tensor], features: Sequence[FrameFeatures], namer: ObjectNamer
) -> tuple[torch.Tensor, float]:
    """Name the tracks of a clip.

    Args:
        tracks: (T, S, S) bool each.
        features: of the T frames.
        namer: gives the categories.

    Returns:
        (T, S, S) numbers of categories from 1, 0 for the background; and the seconds of naming.
    """
    start = time.perf_counter()
    maps = torch.zeros(len(features), *features_size(tracks, features), dtype=torch.int64)
    for track in tracks:
        maps[track] = name_track(track, features, namer) + 1
    return maps, time.perf_counter() - start


def features_size(tracks: Sequence[torch.Tensor], features: Sequence[FrameFeatures]) -> tuple[int, int]:
    """Return the size of the maps: that of the tracks, or of the features without tracks."""
    height, width = tracks[0].shape[1:] if tracks else [16 * side for side in features[0].embedding.shape[2:]]
    return int(height), int(width)


def true_names(tracks: Sequence[torch.Tensor], sample: Sample, size: int, namer: ObjectNamer) -> torch.Tensor:
    """Give each track (T, S, S) bool the category of most of its pixels: (T, S, S) numbers as in `label_maps`.

    Objects count whether they sound or not. A track without an object has the number of the first category.
    """
    objects = read_scene(sample.frames[0].parent.parent)["objects"]
    seen = torch.zeros(len(sample.frames), size, size, dtype=torch.int64)
    for one, mask in zip(objects, object_masks(sample, size), strict=True):
        if one["category"] in namer.names:
            seen[mask] = namer.names.index(one["category"]) + 1
    maps = torch.zeros_like(seen)
    for track in tracks:
        counts = seen[track].bincount(minlength=2)
        counts[0] = 0
        maps[track] = int(counts.argmax()) or 1
    return maps


@dataclass(frozen=True, kw_only=True)
class SemanticFigures:
    """Scores of the namer on a split.

    Attributes:
        categories: number of categories that sound.
        scores: mean IoU and F by masks: "own masks", those with the true names, and "true masks".
        milliseconds: of naming, for each frame.
    """

    categories: int
    scores: dict[str, tuple[float, float]]
    milliseconds: float


def score_names(model: AuralSAM2, root: Path, split: str, clips: int | None = None) -> SemanticFigures:
    """Score the namer of a model on the first clips of a split of StampAVS.

    Raises:
        AuralError: the model has no namer, or an object has a category that it does not know.
    """
    network, namer = streaming_network(model), model.namer(True)
    assert namer is not None, "names are asked for"
    size, classes = model.network.image_size, len(namer.names) + 1
    predictor = AuralPredictor(model, EvaluationOptions(dataset="stampavs", split=split))
    sums = {name: SemanticSums.zero(classes) for name in ("own masks", ORACLE, "true masks")}
    seconds, frames, sounding = 0.0, 0, torch.zeros(classes, dtype=torch.bool)
    for sample in list(open_dataset("stampavs", root).listing(split).samples)[:clips]:
        objects = read_scene(sample.frames[0].parent.parent)["objects"]
        names = [one["category"] for one in objects if any(one["sounding"])]
        if not set(names) <= set(namer.names):
            raise InputError(f"{sample.id}: a category that the namer does not know: choose another split")
        clip = load_clip(sample, size)
        prepared = predictor.prepare(clip)
        with torch.inference_mode(), inference_context(model):
            features = network.encode(normalise(prepared.to(network.device)), with_patches=False)
        prediction = predictor.predict(clip, prepared)
        masks = full_size(prediction.logits[None], size)[0].cpu() > 0
        truth = true_tracks(sample, size)
        labels = torch.zeros(len(masks), size, size, dtype=torch.int64)
        for name, track in zip(names, truth, strict=True):
            labels[track] = namer.names.index(name) + 1
        own = [track.masks for track in separated(masks, features, prediction.ious.tolist())]
        sums[ORACLE] += semantic_sums(true_names(own, sample, size, namer), labels, classes)
        for method, tracks in (("own masks", own), ("true masks", truth)):
            maps, duration = label_maps(tracks, features, namer)
            sums[method] += semantic_sums(maps, labels, classes)
            seconds += duration if method == "own masks" else 0.0
        frames += len(masks)
        sounding[labels.unique()] = True
    sounding[0] = False
    scores = {}
    for method, total in sums.items():
        count = total.count.clamp(min=1)
        scores[method] = float((total.iou / count)[sounding].mean()), float((total.f / count)[sounding].mean())
    return SemanticFigures(categories=int(sounding.sum()), scores=scores, milliseconds=1000 * seconds / max(1, frames))


def main() -> int:
    """Run the command line."""
    parser = splits_parser((__doc__ or "").splitlines()[0], ("test-seen", "test-new-image"))
    parser.add_argument("--write", type=Path, help="document with a section for the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    try:
        model = AuralSAM2.from_pretrained(options.model)
        for split in options.splits.split(","):
            figures = score_names(model, options.root, split, options.clips)
            for method, (iou, f) in figures.scores.items():
                rows.append([split, method, str(figures.categories), f"{iou:.3f}", f"{f:.3f}"])
            rows.append([split, "naming, ms a frame", "", f"{figures.milliseconds:.1f}", ""])
    except AuralError as error:
        parser.error(str(error))
    table = markdown_table(["split", "masks", "categories", "mIoU", "class F"], rows)
    text = f"{conditions_sentence(measurement_conditions(model, 0), 'StampAVS')}\n\n{table}"
    publish(text, options.write, "names")
    return 0


if __name__ == "__main__":
    sys.exit(main())
