r"""Agreement of the masks at other image sizes with those at the model's own size, and processor time.

    python experiments/image_sizes.py [--model mini] [--video FILE] [--sizes 128 192 320 384 512] [--fps 1] \
        [--write docs/benchmarks/speed.md]

The sounding objects of a video, by default of the bundled clip, are segmented at each size in float32. The IoU is that
of the masks of a frame; two empty masks agree. `--write` replaces the section `image-sizes` of a document.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from auralsam2.errors import AuralError
from auralsam2.evaluation.metrics import mask_iou
from auralsam2.model import AuralSAM2
from auralsam2.modeling.sam2 import input_side
from auralsam2.samples import demo_clip
from reporting import conditions_sentence, markdown_table, measurement_conditions, publish


def segment_at(model: AuralSAM2, video: Path, fps: float) -> tuple[list[np.ndarray], float]:
    """Return the masks of a video, each (H, W) bool, and processor seconds a frame.

    The video is segmented twice; the first time, which is not measured, prepares the model.
    """
    masks: list[np.ndarray] = []
    seconds = 0.0
    for _ in range(2):
        began = time.process_time()
        masks = [frame.mask for frame in model.segment(video, fps=fps)]
        seconds = time.process_time() - began
    return masks, seconds / len(masks)


def agreement(masks: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return mean and lowest IoU of the masks of each frame."""
    values = mask_iou(np.stack(masks), np.stack(others))
    return float(values.mean()), float(values.min())


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--video", type=Path, help="default: the bundled clip")
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 192, 320, 384, 512])
    parser.add_argument("--fps", type=float, default=1.0)
    parser.add_argument("--write", type=Path, help="document with a section for the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    video = options.video or demo_clip()
    try:
        own = AuralSAM2.from_pretrained(options.model, "cpu", "fp32")
        side = input_side(own.network.sam2)
        expected, base = segment_at(own, video, options.fps)
        rows = {side: [f"{side} (own)", "1.000", "1.000", "1.00"]}
        for size in options.sizes:
            model = AuralSAM2.from_pretrained(options.model, "cpu", "fp32", image_size=size)
            masks, seconds = segment_at(model, video, options.fps)
            average, lowest = agreement(masks, expected)
            rows[size] = [str(size), f"{average:.3f}", f"{lowest:.3f}", f"{seconds / base:.2f}"]
    except AuralError as error:
        parser.error(str(error))
    head = ["image size", "mean IoU", "lowest IoU", "processor time a frame"]
    name = "the bundled clip" if options.video is None else options.video.name
    text = f"{conditions_sentence(measurement_conditions(own, 0), name)}"
    publish(f"{text}\n\n{markdown_table(head, [rows[size] for size in sorted(rows)])}", options.write, "image-sizes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
