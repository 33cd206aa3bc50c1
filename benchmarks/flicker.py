"""How steady the masks are: mean IoU of neighbouring frames' masks, inside clip windows and across their borders.

    python benchmarks/flicker.py MODEL [VIDEO] [--fps 1,2,5]

Without a video, a generated one of 20 seconds is taken, in which a square goes round and two tones sound. The IoU of
two frames that move is below 1 for a perfect model too; the figure to read is the one across borders beside the one
inside, at the same rate. Pairs in which neither frame has a mask are left out.
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
    """IoU of neighbouring frames.

    Args:
        model: any.
        video: with sound.
        fps: processed frames a second, 1 or more.
        prompts: beside the sound.

    Returns:
        those of pairs in one clip window, and those of pairs in two.
    """
    inside: list[float] = []
    across: list[float] = []
    length = round(model.config.clip.frames * fps)
    for before, now in pairwise(model.segment(video, fps=fps, prompts=prompts)):
        if before.mask.any() or now.mask.any():
            (across if now.index % length == 0 else inside).append(float(mask_iou(before.mask, now.mask)))
    return inside, across


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Mean IoU of neighbouring frames' masks.")
    parser.add_argument("model")
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--fps", default="1,2,5", help="rates, comma-separated")
    parser.add_argument("--point", metavar="X,Y", help="click on the first frame: the memory then crosses the borders")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    model = auralsam2.load(arguments.model)
    prompts = Prompts()
    if arguments.point:
        x, y = map(float, arguments.point.split(","))
        prompts = Prompts(points=(auralsam2.Point(x=x, y=y),))
    with tempfile.TemporaryDirectory() as folder:
        video = arguments.video or write_bench_clip(Path(folder) / "clip.mp4", SECONDS, VIDEO_FPS)
        on = describe_machine(model.network.device.type)
        print(f"{Path(arguments.model).name}, {model.network.image_size} px, windows of {model.config.clip.frames} s;")
        print(f"{on['cpu']}, {on['threads']} threads, {model.dtype}, torch {on['torch']}")
        print("frames a second  inside (pairs)  across borders (pairs)")
        for fps in map(float, arguments.fps.split(",")):
            cells = (
                f"{fmean(values):.3f} ({len(values)})" if values else "no masks"
                for values in steadiness(model, video, fps, prompts)
            )
            print(f"{fps:15g}  {next(cells):14}  {next(cells)}")


if __name__ == "__main__":
    main()
