"""Instance mAP of separated sources on StampAVS scenes with several sounding objects.

    python experiments/separation.py ROOT [--splits test-seen] [--clips N] [--write docs/benchmarks/results.md]

Compares one mask for all sources, the masks of `segment --separate`, and the true masks divided in the same way, which
bounds what separation can reach. `--write` replaces the section `separation` of a document.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from auralsam2.data import open_dataset
from auralsam2.data.load import load_clip
from auralsam2.data.sample import LoadedClip, Sample
from auralsam2.errors import AuralError
from auralsam2.evaluation.named_predictor import source_tracks
from auralsam2.evaluation.options import EvaluationOptions
from auralsam2.evaluation.predictor import AuralPredictor, Prediction
from auralsam2.evaluation.track_map import PredictedTrack, track_map
from auralsam2.inference.tracker import full_size
from auralsam2.model import AuralSAM2, inference_context, streaming_network
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.modeling.preprocess import normalise
from auralsam2.stampavs.remix import read_scene
from auralsam2.training.dataset import object_masks
from reporting import conditions_sentence, markdown_table, measurement_conditions, publish
from runs import splits_parser

SCORES = ("mAP", "AP50", "AP75")
METHODS = ("one mask for all", "separated", "true masks, separated")


def true_tracks(sample: Sample, size: int) -> list[torch.Tensor]:
    """Return the masks (T, S, S) bool of the objects that sound, empty in the seconds in which they are silent."""
    objects = read_scene(sample.frames[0].parent.parent)["objects"]
    masks = object_masks(sample, size)
    tracks = [mask & torch.tensor(one["sounding"])[:, None, None] for mask, one in zip(masks, objects, strict=True)]
    return [track for track in tracks if bool(track.any())]


def separated(masks: torch.Tensor, features: Sequence[FrameFeatures], scores: Sequence[float]) -> list[PredictedTrack]:
    """Divide the masks (T, S, S) bool of a clip between sources; the score of a track is the mean of its frames."""
    tracks = []
    for track in source_tracks(masks, features):
        present = track.flatten(1).any(1).tolist()
        confidence = [score for score, here in zip(scores, present, strict=True) if here]
        tracks.append(PredictedTrack(masks=track, score=sum(confidence) / len(confidence)))
    return tracks


@torch.inference_mode()
def tracks_of(predictor: AuralPredictor, clip: LoadedClip, size: int) -> dict[str, list[PredictedTrack]]:
    """Return the tracks of a clip by method."""
    prepared = predictor.prepare(clip)
    prediction: Prediction = predictor.predict(clip, prepared)
    network = streaming_network(predictor.model)
    with inference_context(predictor.model):
        features = network.encode(normalise(prepared.to(network.device)), with_patches=False)
    masks = full_size(prediction.logits[None], size)[0].cpu() > 0
    ious = prediction.ious.tolist()
    present = [iou for iou, mask in zip(ious, masks, strict=True) if mask.any()]
    whole = [PredictedTrack(masks=masks, score=sum(present) / len(present))] if present else []
    return dict(
        zip(
            METHODS,
            (whole, separated(masks, features, ious), separated(clip.labels, features, [1.0] * len(masks))),
            strict=True,
        )
    )


def main() -> int:
    """Run the command line."""
    parser = splits_parser((__doc__ or "").splitlines()[0], ("test-seen",))
    parser.add_argument("--write", type=Path, help="document with a section for the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    try:
        model = AuralSAM2.from_pretrained(options.model)
        size = model.network.image_size
        dataset = open_dataset("stampavs", options.root)
        for split in options.splits.split(","):
            predictor = AuralPredictor(model, EvaluationOptions(dataset="stampavs", split=split))
            found: dict[str, list[tuple[list[PredictedTrack], list[torch.Tensor]]]] = {name: [] for name in METHODS}
            samples = [sample for sample in dataset.listing(split).samples if sample.kind == "multi"]
            for sample in samples:
                truth = true_tracks(sample, size)
                if len(truth) < 2 or len(found[METHODS[0]]) == options.clips:
                    continue
                for method, tracks in tracks_of(predictor, load_clip(sample, size), size).items():
                    found[method].append((tracks, truth))
            for method, clips in found.items():
                scores = track_map(clips)
                rows.append([split, method, str(len(clips)), *(f"{scores[name]:.3f}" for name in SCORES)])
    except AuralError as error:
        parser.error(str(error))
    table = markdown_table(["split", "masks", "clips", *SCORES], rows)
    text = f"{conditions_sentence(measurement_conditions(model, 0), 'StampAVS')}\n\n{table}"
    publish(text, options.write, "separation")
    return 0


if __name__ == "__main__":
    sys.exit(main())
