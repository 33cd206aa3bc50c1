"""Compare the masks of `auralsam2 segment` with those of the golden procedure on the same video.

    auralsam2 segment clip.mp4 --model MODEL --out out
    python benchmarks/golden_video.py MODEL clip.mp4 out/clip

The procedure is that of the golden numbers (tests/golden/README.md), on whole windows: frames of this package's reader,
Pillow's resize, the whole audio decoded and resampled by resampy, 0.975 s of it every 0.96 s. The video must consist of
whole windows at one frame per second. The exit code is 1 if more than 0.02 % of a frame's pixels differ.
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
TOLERANCE = 2e-4
"""Share of pixels that may differ, since their logits are within rounding of 0."""


def sound(path: Path) -> np.ndarray:
    """Decode the whole audio at 16 kHz, (n, 2) in [-1, 1], from time 0."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        rate = frames[0].sample_rate
        samples = np.concatenate([frame.to_ndarray() for frame in frames], axis=1).astype(np.float64)
        lead = round(frames[0].time * rate)
    samples = samples[:, -lead:] if lead < 0 else np.pad(samples, ((0, 0), (lead, 0)))
    return np.stack([resampy.resample(side, rate, AUDIO_RATE) for side in samples], axis=1)


def golden_logits(model: auralsam2.AuralSAM2, path: Path) -> list[torch.Tensor]:
    """Compute the logits (S, S) of all frames, window by window."""
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
        windows = np.stack([track[begin : begin + EXAMPLE_SAMPLES] for begin in begins])
        mel = log_mel(torch.from_numpy(windows).transpose(1, 2))
        with torch.inference_mode():
            logits += [frame.logits for frame in segment_clip(network, pixels[first : first + length], mel).frames]
    return logits


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Compare masks with the golden procedure.")
    parser.add_argument("model", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("results", type=Path, help="result folder of the video")
    arguments = parser.parse_args()
    model = auralsam2.load(arguments.model)
    worst = 0.0
    for index, logits in enumerate(golden_logits(model, arguments.video)):
        mask = np.asarray(Image.open(arguments.results / "masks" / f"{index:06d}.png")) > 0
        resized = torch.nn.functional.interpolate(logits[None, None], mask.shape, mode="bilinear", align_corners=False)[
            0, 0
        ]
        differing = (resized > 0).numpy() != mask
        largest = float(resized.abs()[torch.from_numpy(differing)].max()) if differing.any() else 0.0
        print(
            f"frame {index}: {mask.mean():.2%} masked, {differing.sum()} of {mask.size} pixels differ, "
            f"largest |logit| of these {largest:.2g}"
        )
        worst = max(worst, float(differing.mean()))
    print("equal" if worst <= TOLERANCE else f"DIFFERENT: {worst:.2%} of a frame")
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
