"""Compare the masks of `auralsam2 segment` with the golden recipe on the same video, step by step.

    auralsam2 segment clip.mp4 --model MODEL --out out
    python benchmarks/golden_video.py MODEL clip.mp4 out/clip

The recipe is the one by which the golden numbers were made (tests/golden/README.md), applied here to whole windows at
once: pictures as the reader gives them (which colours a file means is not part of the recipe), Pillow's resize, all of
the sound decoded and resampled by resampy, 0.975 s of it every 0.96 s; the network runs on a whole window at a time.
For videos of whole windows, at one frame a second. Exits with 1 where more than a few pixels differ.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import av
import numpy as np
import resampy
import torch
from PIL import Image

import auralsam2
from auralsam2.inference.clip import segment_clip
from auralsam2.media.frame_reader import read_frames
from auralsam2.modeling.log_mel import EXAMPLE_HOP_SECONDS, EXAMPLE_SAMPLES, log_mel
from auralsam2.types import AUDIO_RATE

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FEW = 2e-4
"""Share of pixels that may differ: logits within rounding of 0."""


def sound(path: Path) -> np.ndarray:
    """All of it at 16 kHz, (n, 2) in [-1, 1], from second 0 on."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        rate = frames[0].sample_rate
        samples = np.concatenate([frame.to_ndarray() for frame in frames], axis=1).astype(np.float64)
        lead = round(frames[0].time * rate)
    samples = samples[:, -lead:] if lead < 0 else np.pad(samples, ((0, 0), (lead, 0)))
    return np.stack([resampy.resample(side, rate, AUDIO_RATE) for side in samples], axis=1)


def recipe(model: auralsam2.AuralSAM2, path: Path) -> list[torch.Tensor]:
    """Logits (S, S) of all frames, window by window."""
    network, track = model.network, sound(path)
    size, length = network.image_size, model.config.clip.frames
    with read_frames(path, fps=1) as reader:
        squares = [Image.fromarray(frame.image).resize((size, size), Image.Resampling.BICUBIC) for frame in reader]
    pixels = (torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2) / 255 - torch.tensor(MEAN)[:, None, None]) / (
        torch.tensor(DEVIATION)[:, None, None]
    )
    logits: list[torch.Tensor] = []
    for first in range(0, len(pixels) - length + 1, length):
        begins = [round((first + i * EXAMPLE_HOP_SECONDS) * AUDIO_RATE) for i in range(length)]
        heard = np.stack([track[begin : begin + EXAMPLE_SAMPLES] for begin in begins])
        mel = log_mel(torch.from_numpy(heard).transpose(1, 2))
        with torch.inference_mode():
            logits += [frame.logits for frame in segment_clip(network, pixels[first : first + length], mel).frames]
    return logits


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Compare masks with the golden recipe.")
    parser.add_argument("model", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("results", type=Path, help="the video's folder of results")
    arguments = parser.parse_args()
    model = auralsam2.load(arguments.model)
    worst = 0.0
    for index, logits in enumerate(recipe(model, arguments.video)):
        mask = np.asarray(Image.open(arguments.results / "masks" / f"{index:06d}.png")) > 0
        resized = torch.nn.functional.interpolate(logits[None, None], mask.shape, mode="bilinear", align_corners=False)[
            0, 0
        ]
        differing = (resized > 0).numpy() != mask
        largest = float(resized.abs()[torch.from_numpy(differing)].max()) if differing.any() else 0.0
        print(
            f"frame {index}: {mask.mean():.2%} masked, {differing.sum()} of {mask.size} pixels differ, "
            f"|logit| there up to {largest:.2g}"
        )
        worst = max(worst, float(differing.mean()))
    print("equal" if worst <= FEW else f"DIFFERENT: {worst:.2%} of a frame")
    return 0 if worst <= FEW else 1


if __name__ == "__main__":
    sys.exit(main())
