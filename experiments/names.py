"""Semantic scores of the namer on StampAVS: mIoU and F over the categories, and the time of naming.

    python experiments/names.py ROOT [--splits test-seen] [--clips N] [--write docs/benchmarks/results.md]

Compares the model's own masks, separated into sources, with the true masks of the sounding objects. Each source gets
one category, from all its frames. The scores are those of AVSBench-semantic, the mean over the categories that sound in
the split; the background does not count. `--write` replaces the section `names` of a document.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from auralsam2.data import open_dataset
from auralsam2.data.load import load_clip
from auralsam2.errors import AuralError
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
from reporting import conditions_sentence, markdown_table, measurement_conditions, write_section
from runs import splits_parser
from separation import separated, true_tracks


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


def main() -> int:
    """Run the command line."""
    parser = splits_parser((__doc__ or "").splitlines()[0], ("test-seen",))
    parser.add_argument("--write", type=Path, help="document with a section for the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    try:
        model = AuralSAM2.from_pretrained(options.model)
        network, namer = streaming_network(model), model.namer(True)
        assert namer is not None
        size, classes = model.network.image_size, len(namer.names) + 1
        for split in options.splits.split(","):
            predictor = AuralPredictor(model, EvaluationOptions(dataset="stampavs", split=split))
            sums = {name: SemanticSums.zero(classes) for name in ("own masks", "true masks")}
            seconds, frames, sounding = 0.0, 0, torch.zeros(classes, dtype=torch.bool)
            for sample in list(open_dataset("stampavs", options.root).listing(split).samples)[: options.clips]:
                objects = read_scene(sample.frames[0].parent.parent)["objects"]
                names = [one["category"] for one in objects if any(one["sounding"])]
                if not set(names) <= set(namer.names):
                    raise AuralError(f"{sample.id}: a category that the namer does not know: choose another split")
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
                for method, tracks in (("own masks", own), ("true masks", truth)):
                    maps, duration = label_maps(tracks, features, namer)
                    sums[method] += semantic_sums(maps, labels, classes)
                    seconds += duration if method == "own masks" else 0.0
                frames += len(masks)
                sounding[labels.unique()] = True
            sounding[0] = False
            for method, total in sums.items():
                count = total.count.clamp(min=1)
                figures = [float((value / count)[sounding].mean()) for value in (total.iou, total.f)]
                rows.append([split, method, str(int(sounding.sum())), *(f"{figure:.3f}" for figure in figures)])
            rows.append([split, "naming, ms a frame", "", f"{1000 * seconds / max(1, frames):.1f}", ""])
    except AuralError as error:
        parser.error(str(error))
    table = markdown_table(["split", "masks", "categories", "mIoU", "class F"], rows)
    text = f"{conditions_sentence(measurement_conditions(model, 0), 'StampAVS')}\n\n{table}"
    print(text)
    if options.write:
        write_section(options.write, "names", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
