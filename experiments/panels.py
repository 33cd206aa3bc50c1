"""Qualitative panels as in the paper's Figures 4 and 9 to 14: frames, ground truth, masks of each method, waveform.

    python experiments/panels.py ROOT OUT.jpg --models AuralSAM2=mini [GAVS=DIR …] [--dataset stampavs-ref]
        [--clips test-seen:2,test-unseen:2]

Shown are the first clips of each split in which something is to be found, and of each its first seconds: nothing is
picked by how it looks. The truth is tinted green, what a method finds by sound pink. Where the data ask by a sentence,
it stands above, and methods that read are told it; of each clip the first sentence that refers to something is taken.
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


def panel(clip: LoadedClip, found: dict[str, torch.Tensor]) -> Image.Image:
    """Draw the panel of one clip.

    Args:
        clip: with its pictures.
        found: by method, (T, S, S) bool.
    """
    seconds = min(SECONDS, len(clip.frames))
    said = clip.sample.expression
    first = TITLE if said else 0
    rows = [("frames", torch.zeros_like(clip.labels), TRUTH), ("truth", clip.labels, TRUTH)]
    rows += [(name, masks, COLOUR) for name, masks in found.items()]
    step = SIDE + GAP
    sheet = Image.new("RGB", (LABEL + seconds * step, first + len(rows) * step + WAVE), PAPER)
    pen = ImageDraw.Draw(sheet)
    if said:
        pen.text((LABEL, GAP), said, fill=INK)
    for place, (name, masks, colour) in enumerate(rows):
        pen.text((GAP, first + place * step + SIDE // 2 - 6), name, fill=INK)
        for t in range(seconds):
            picture = clip.frames[t]
            mask = F.interpolate(masks[t][None, None].float(), picture.shape[:2], mode="nearest")[0, 0] > 0.5
            tinted = Image.fromarray(draw_overlay(picture, mask.numpy(), colour)).resize(
                (SIDE, SIDE), Image.Resampling.LANCZOS
            )
            sheet.paste(tinted, (LABEL + t * step, first + place * step))
    top = first + len(rows) * step
    pen.text((GAP, top + WAVE // 2 - 6), "left, right", fill=INK)
    for channel, edges in enumerate(_envelopes(clip.sample.sounds[0], seconds, SIDE)):
        middle = top + (2 * channel + 1) * WAVE // 4
        for column, reach in enumerate(edges):
            x = LABEL + column // SIDE * step + column % SIDE
            # Square root: quiet sounds show as well.
            half = round(float(np.sqrt(reach)) * (WAVE // 4 - 1))
            pen.line((x, middle - half, x, middle + half), fill=SOUND)
    return sheet


def _envelopes(path: Path, seconds: int, columns: int) -> np.ndarray:
    """Return the largest sample of each column, (2, seconds · columns) in [0, 1]."""
    with SoundTrack(path) as sound:
        pieces = [sound.read(n / columns, (n + 1) / columns) for n in range(seconds * columns)]
    return np.stack([np.abs(piece).max(axis=0, initial=0) for piece in pieces], axis=1)


def clips(dataset: str, root: Path, wanted: str, size: int) -> Iterator[LoadedClip]:
    """Return the first different clips with a target of each split in `split:count,…`."""
    for part in wanted.split(","):
        split, _, count = part.partition(":")
        taken: set[str] = set()
        for sample in open_dataset(dataset, root).listing(split).samples:
            fresh = len(taken) < int(count or 1) and sample.clip not in taken
            if fresh and (clip := load_clip(sample, size)).labels.any():
                taken.add(sample.clip)
                yield clip


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder of the data set")
    parser.add_argument("out", type=Path, help="the picture")
    parser.add_argument(
        "--models", nargs="+", required=True, metavar="NAME=MODEL", help="name in the picture, and model"
    )
    parser.add_argument("--dataset", default="stampavs")
    parser.add_argument("--clips", default="test-seen:2,test-unseen:2", help="how many of which splits")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    named = [given.partition("=")[::2] for given in arguments.models]
    predictors = {}
    for name, folder in named:
        model = AuralSAM2.from_pretrained(folder, "cpu", "fp32")
        prompts = "audio" if model.network.text_encoder is None else "audio+text"
        predictors[name] = AuralPredictor(
            model, EvaluationOptions(dataset=arguments.dataset, split="", prompts=prompts)
        )
    size = max(predictor.model.network.image_size for predictor in predictors.values())
    panels = []
    for clip in clips(arguments.dataset, arguments.root, arguments.clips, size):
        found = {
            name: predictor.predict(clip, predictor.prepare(clip)).logits > 0 for name, predictor in predictors.items()
        }
        panels.append(panel(clip, found))
    sheet = Image.new("RGB", (panels[0].width, sum(each.height + 4 * GAP for each in panels)), PAPER)
    top = 0
    for each in panels:
        sheet.paste(each, (0, top))
        top += each.height + 4 * GAP
    with writing(arguments.out):
        sheet.save(arguments.out, quality=88)
    return 0


if __name__ == "__main__":
    sys.exit(main())
