"""Qualitative panels as in the paper's Figures 4 and 9 to 14: frames, ground truth, masks of each method, waveform.

    python experiments/panels.py ROOT OUT.jpg --models AuralSAM2=mini [GAVS=DIR …] [--dataset stampavs-ref]
        [--clips test-seen:2,test-unseen:2]

The panels show the first seconds of the first clips of each split that have a target; no clip is selected by its
result. The ground truth is tinted green, the masks of the methods pink. On data sets with sentences, the first sentence
of a clip that refers to an object is written above its panel, and models with text receive it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

from auralsam2.data import open_dataset
from auralsam2.data.load import load_clip
from auralsam2.data.sample import LoadedClip
from auralsam2.evaluation.options import EvaluationOptions
from auralsam2.evaluation.predictor import AuralPredictor
from auralsam2.media.audio_track import SoundTrack
from auralsam2.model import AuralSAM2
from auralsam2.outputs.overlay import COLOUR, draw_overlay
from auralsam2.utils.atomic_io import writing

SIDE, GAP, LABEL, TITLE, WAVE = 144, 4, 92, 20, 40
SECONDS = 10
TRUTH, INK, PAPER, SOUND = (64, 200, 120), (40, 40, 40), (255, 255, 255), (70, 110, 160)


def draw_panel(clip: LoadedClip, masks: dict[str, torch.Tensor]) -> Image.Image:
    """Draw the panel of one clip.

    Args:
        clip: clip with its images.
        masks: (T, S, S) bool by method.
    """
    seconds = min(SECONDS, len(clip.frames))
    sentence = clip.sample.expression
    top = TITLE if sentence else 0
    rows = [("frames", torch.zeros_like(clip.labels), TRUTH), ("truth", clip.labels, TRUTH)]
    rows += [(name, predicted, COLOUR) for name, predicted in masks.items()]
    step = SIDE + GAP
    sheet = Image.new("RGB", (LABEL + seconds * step, top + len(rows) * step + WAVE), PAPER)
    pen = ImageDraw.Draw(sheet)
    if sentence:
        pen.text((LABEL, GAP), sentence, fill=INK)
    for name, row_masks, colour in rows:
        pen.text((GAP, top + SIDE // 2 - 6), name, fill=INK)
        for t in range(seconds):
            image = clip.frames[t]
            mask = F.interpolate(row_masks[t][None, None].float(), image.shape[:2], mode="nearest")[0, 0] > 0.5
            tinted = Image.fromarray(draw_overlay(image, mask.numpy(), colour)).resize(
                (SIDE, SIDE), Image.Resampling.LANCZOS
            )
            sheet.paste(tinted, (LABEL + t * step, top))
        top += step
    pen.text((GAP, top + WAVE // 2 - 6), "left, right", fill=INK)
    for channel, peaks in enumerate(_envelopes(clip.sample.sounds[0], seconds, SIDE)):
        middle = top + (2 * channel + 1) * WAVE // 4
        for column, peak in enumerate(peaks):
            x = LABEL + column // SIDE * step + column % SIDE
            half = round(float(np.sqrt(peak)) * (WAVE // 4 - 1))  # the square root makes quiet audio visible
            pen.line((x, middle - half, x, middle + half), fill=SOUND)
    return sheet


def _envelopes(path: Path, seconds: int, columns: int) -> np.ndarray:
    """Return the largest sample of each column, (2, seconds · columns) in [0, 1]."""
    with SoundTrack(path) as sound:
        pieces = [sound.read(n / columns, (n + 1) / columns) for n in range(seconds * columns)]
    return np.stack([np.abs(piece).max(axis=0, initial=0) for piece in pieces], axis=1)


def clips_with_target(dataset: str, root: Path, counts: str, size: int) -> Iterator[LoadedClip]:
    """Yield the first different clips with a target of each split in `split:count,…`."""
    for part in counts.split(","):
        split, _, count = part.partition(":")
        names: set[str] = set()
        for sample in open_dataset(dataset, root).listing(split).samples:
            needed = len(names) < int(count or 1) and sample.clip not in names
            if needed and (clip := load_clip(sample, size)).labels.any():
                names.add(sample.clip)
                yield clip


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder of the data set")
    parser.add_argument("out", type=Path, help="image file to write")
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME=MODEL", help="name in the image, and model")
    parser.add_argument("--dataset", default="stampavs")
    parser.add_argument("--clips", default="test-seen:2,test-unseen:2", help="splits and numbers of clips")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    predictors = {}
    for name, _, folder in (pair.partition("=") for pair in arguments.models):
        model = AuralSAM2.from_pretrained(folder, "cpu", "fp32")
        prompts = "audio" if model.network.text_encoder is None else "audio+text"
        predictors[name] = AuralPredictor(
            model, EvaluationOptions(dataset=arguments.dataset, split="", prompts=prompts)
        )
    size = max(predictor.model.network.image_size for predictor in predictors.values())
    panels = []
    for clip in clips_with_target(arguments.dataset, arguments.root, arguments.clips, size):
        masks = {
            name: predictor.predict(clip, predictor.prepare(clip)).logits > 0 for name, predictor in predictors.items()
        }
        panels.append(draw_panel(clip, masks))
    sheet = Image.new("RGB", (panels[0].width, sum(panel.height + 4 * GAP for panel in panels)), PAPER)
    top = 0
    for panel in panels:
        sheet.paste(panel, (0, top))
        top += panel.height + 4 * GAP
    with writing(arguments.out):
        sheet.save(arguments.out, quality=88)
    return 0


if __name__ == "__main__":
    sys.exit(main())
