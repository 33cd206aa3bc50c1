"""Semantic scores of namer and second stage on StampAVS: mIoU and F over the categories, parameters, and time.

    python experiments/names.py ROOT [--second-stage DIR] [--splits test-seen,test-new-image] [--clips N]
        [--write DOCUMENT]

Both take the model's own masks, and the true masks of the sounding objects. The namer gives each separated source one
category, from all its frames; own masks with the true names of their objects are the best that any namer can reach. The
second stage classifies pixels of single frames. The scores are those of AVSBench-semantic, the mean over the categories
that sound in the split; the background does not count. `--write` replaces the section `names` of a document.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from auralsam2.data import open_dataset
from auralsam2.data.class_names import STAMPAVS
from auralsam2.data.load import load_clip
from auralsam2.data.sample import LoadedClip, Sample
from auralsam2.errors import AuralError, ConfigError
from auralsam2.evaluation.named_predictor import name_track, source_tracks
from auralsam2.evaluation.options import EvaluationOptions
from auralsam2.evaluation.predictor import AuralPredictor
from auralsam2.evaluation.semantic import SemanticSums, semantic_sums
from auralsam2.inference.tracker import full_size
from auralsam2.model import AuralSAM2, inference_context, streaming_network
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.modeling.object_namer import ObjectNamer
from auralsam2.modeling.preprocess import normalise
from auralsam2.semantics.second_stage import SecondStage, square_guide, square_picture
from auralsam2.training.dataset import object_masks
from reporting import conditions_sentence, markdown_table, measurement_conditions, publish
from runs import splits_parser
from separation import true_tracks

CLASSES = len(STAMPAVS)
OWN, TRUE, ORACLE = "own", "true", "own, true names"
NAMER, STAGE = "namer", "second stage"


@torch.inference_mode()
def namer_maps(tracks: Sequence[torch.Tensor], features: Sequence[FrameFeatures], namer: ObjectNamer) -> torch.Tensor:
    """Name the tracks (T, S, S) bool of a clip: (T, S, S) numbers of classes, 0 for the background."""
    numbers = torch.tensor([STAMPAVS.index(name) if name in STAMPAVS else 0 for name in namer.names])
    maps = torch.zeros(tracks[0].shape, dtype=torch.int64) if tracks else torch.zeros(0, dtype=torch.int64)
    for track in tracks:
        maps[track] = int(numbers[name_track(track, features, namer, numbers > 0)])
    return maps


def stage_maps(clip: LoadedClip, guide: torch.Tensor, stage: SecondStage) -> torch.Tensor:
    """Classify the pixels of a clip by the second stage, guided by masks (T, S, S) bool: as `namer_maps`."""
    pixels = torch.stack([square_picture(frame, stage.stage.image_size) for frame in clip.frames])
    guides = torch.stack([square_guide(mask.numpy() * np.uint8(255), stage.stage.label_size) for mask in guide])
    maps = stage.label_maps(pixels, guides, clip.log_mel)
    return F.interpolate(maps[:, None].float(), guide.shape[1:], mode="nearest-exact")[:, 0].long()


def true_names(tracks: Sequence[torch.Tensor], sample: Sample, size: int) -> torch.Tensor:
    """Give each track (T, S, S) bool the class of most of its pixels: as `namer_maps`.

    Objects count whether they sound or not. A track without an object, or on one that cannot sound, is no class.
    """
    seen = torch.zeros(len(sample.frames), size, size, dtype=torch.int64)
    for number, mask in zip(sample.object_classes, object_masks(sample, size), strict=True):
        seen[mask] = number or CLASSES
    maps = torch.zeros_like(seen)
    for track in tracks:
        counts = seen[track].bincount(minlength=2)
        counts[0] = 0
        maps[track] = int(counts.argmax()) % CLASSES
    return maps


@dataclass(kw_only=True)
class SemanticFigures:
    """Scores on a split.

    Attributes:
        sums: by method and masks.
        seconds: of classification by method, with own masks.
        frames: their number.
        sounding: (C,) bool, the categories that sound.
    """

    sums: dict[tuple[str, str], SemanticSums] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    frames: int = 0
    sounding: torch.Tensor = field(default_factory=lambda: torch.zeros(CLASSES, dtype=torch.bool))

    def add(self, method: str, masks: str, maps: torch.Tensor, labels: torch.Tensor) -> None:
        """Score label maps (T, S, S)."""
        scored = semantic_sums(maps if len(maps) else torch.zeros_like(labels), labels, CLASSES)
        self.sums[method, masks] = self.sums.get((method, masks), SemanticSums.zero(CLASSES)) + scored

    def means(self, method: str, masks: str) -> tuple[float, float]:
        """Return mean IoU and F over the categories that sound."""
        return self.sums[method, masks].means(present=self.sounding)


def score_names(
    model: AuralSAM2, root: Path, split: str, clips: int | None = None, stage: SecondStage | None = None
) -> SemanticFigures:
    """Score the namer of a model, and a second stage, on the first clips of a split of StampAVS.

    Raises:
        AuralError: the model has no namer, or the second stage has other classes.
    """
    network, namer = streaming_network(model), model.namer(True)
    assert namer is not None, "names are asked for"
    if stage is not None and stage.stage.names != STAMPAVS:
        raise ConfigError(f"second stage: its {len(stage.stage.names)} classes are not those of StampAVS")
    size = model.network.image_size
    predictor = AuralPredictor(model, EvaluationOptions(dataset="stampavs-semantic", split=split))
    figures = SemanticFigures(seconds={NAMER: 0.0} if stage is None else {NAMER: 0.0, STAGE: 0.0})
    for sample in list(open_dataset("stampavs-semantic", root).listing(split).samples)[:clips]:
        clip = load_clip(sample, size)
        assert clip.classes is not None, "the data set has classes"
        labels = clip.classes.long()
        prepared = predictor.prepare(clip)
        with torch.inference_mode(), inference_context(model):
            features = network.encode(normalise(prepared.to(network.device)), with_patches=False)
        own_masks = full_size(predictor.predict(clip, prepared).logits[None], size)[0].cpu() > 0
        own = source_tracks(own_masks, features)
        figures.add(NAMER, ORACLE, true_names(own, sample, size), labels)
        for masks, tracks in ((OWN, own), (TRUE, true_tracks(sample, size))):
            start = time.perf_counter()
            maps = namer_maps(tracks, features, namer)
            figures.seconds[NAMER] += (time.perf_counter() - start) * (masks == OWN)
            figures.add(NAMER, masks, maps, labels)
        for masks, guide in ((OWN, own_masks), (TRUE, clip.labels)) if stage is not None else ():
            start = time.perf_counter()
            maps = stage_maps(clip, guide, stage)
            figures.seconds[STAGE] += (time.perf_counter() - start) * (masks == OWN)
            figures.add(STAGE, masks, maps, labels)
        figures.frames += len(labels)
        figures.sounding[labels.unique()] = True
    figures.sounding[0] = False
    return figures


def figure_rows(figures: SemanticFigures, parameters: dict[str, int]) -> list[list[str]]:
    """Format the figures of a split: a row for each method and kind of masks."""
    rows = []
    for method, masks in figures.sums:
        iou, f = figures.means(method, masks)
        cost = ["", ""]
        if masks == OWN:
            milliseconds = 1000 * figures.seconds[method] / max(1, figures.frames)
            cost = [f"{parameters[method] / 1e6:.2f} M", f"{milliseconds:.1f}"]
        rows.append([method, masks, str(int(figures.sounding.sum())), f"{iou:.3f}", f"{f:.3f}", *cost])
    return rows


def main() -> int:
    """Run the command line."""
    parser = splits_parser((__doc__ or "").splitlines()[0], ("test-seen", "test-new-image"))
    parser.add_argument("--second-stage", type=Path, help="folder of a second stage with the classes of StampAVS")
    parser.add_argument("--write", type=Path, help="document with a section for the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    try:
        model = AuralSAM2.from_pretrained(options.model, "cpu", "fp32")
        stage = None if options.second_stage is None else SecondStage.load(options.second_stage)
        counted = {NAMER: model.namer(True), STAGE: stage}
        parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in counted.items() if part}
        for split in options.splits.split(","):
            figures = score_names(model, options.root, split, options.clips, stage)
            rows += [[split, *row] for row in figure_rows(figures, parameters)]
    except AuralError as error:
        parser.error(str(error))
    head = ["split", "method", "masks", "categories", "mIoU", "class F", "parameters", "ms a frame"]
    text = f"{conditions_sentence(measurement_conditions(model, 0), 'StampAVS')}\n\n{markdown_table(head, rows)}"
    publish(text, options.write, "names")
    return 0


if __name__ == "__main__":
    sys.exit(main())
