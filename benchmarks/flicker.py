"""Mean IoU of the masks of neighbouring frames, inside clip windows and across their borders.

    python benchmarks/flicker.py MODEL [VIDEO] [--fps 1,2,5]

By default, the video is a generated one of 20 seconds with a moving square and two tones. Motion makes the IoU less
than 1 for a perfect model too, so compare the figure across borders with the one inside windows at the same frame rate.
Pairs without a mask are left out.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import torch

import auralsam2
from auralsam2.bench.material import describe_machine, write_bench_clip
from auralsam2.evaluation.metrics import mask_iou
from auralsam2.model import AuralSAM2
from auralsam2.types import Prompts

SECONDS, VIDEO_FPS = 20, 10


def steadiness(model: AuralSAM2, video: Path, fps: float, prompts: Prompts) -> tuple[list[float], list[float]]:
    """Compute the IoU of the masks of neighbouring frames.

    Args:
        model: model to measure.
        video: video with audio.
        fps: processed frames per second, 1 or more.
        prompts: prompts in addition to the audio.

    Returns:
        IoUs of the pairs inside a clip window, and of those across a border.
    """
    inside: list[float] = []
    across: list[float] = []
    length = round(model.config.clip.frames * fps)
    for previous, current in pairwise(model.segment(video, fps=fps, prompts=prompts)):
        if previous.mask.any() or current.mask.any():
            (across if current.index % length == 0 else inside).append(float(mask_iou(previous.mask, current.mask)))
    return inside, across


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Mean IoU of neighbouring frames' masks.")
    parser.add_argument("model")
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--fps", default="1,2,5", help="frame rates, comma-separated")
    parser.add_argument("--point", metavar="X,Y", help="click on the first frame; memory then crosses the borders")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    model = auralsam2.load(arguments.model)
    prompts = Prompts()
    if arguments.point:
        x, y = map(float, arguments.point.split(","))
        prompts = Prompts(points=(auralsam2.Point(x=x, y=y),))
    with tempfile.TemporaryDirectory() as folder:
        video = arguments.video or write_bench_clip(Path(folder) / "clip.mp4", SECONDS, VIDEO_FPS)
        machine = describe_machine(model.network.device.type)
        print(f"{Path(arguments.model).name}, {model.network.image_size} px, windows of {model.config.clip.frames} s;")
        print(f"{machine['cpu']}, {machine['threads']} threads, {model.dtype}, torch {machine['torch']}")
        print("frames a second  inside (pairs)  across borders (pairs)")
        for fps in map(float, arguments.fps.split(",")):
            cells = (
                f"{fmean(values):.3f} ({len(values)})" if values else "no masks"
                for values in steadiness(model, video, fps, prompts)
            )
            print(f"{fps:15g}  {next(cells):14}  {next(cells)}")


if __name__ == "__main__":
    main()
