"""Measure AuralSAM2 on an accelerator: parity with the CPU, frames a second, memory and training steps.

    python benchmarks/gpu.py [--device cuda] [--models base-plus large] [--frames 60] [--limit 420] [--json FILE]

Everything is generated: random weights of the released size at 1024 pixels, and a video of 1280 x 720
pixels with sound.
Prints a row for each model and kind of prompts, with and without `torch.compile` of the image encoder; frames a second
count from the opened video to the masks in memory, decoding included. Measurements that would begin after `--limit`
seconds are left out, and the output names them.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from auralsam2.bench.material import (
    HEIGHT,
    WIDTH,
    build_full_network,
    build_small_network,
    describe_machine,
    write_bench_clip,
)
from auralsam2.inference.tracker import full_size
from auralsam2.model import AuralSAM2
from auralsam2.modeling.network import AuralNetwork
from auralsam2.training.config import MaskLossConfig
from auralsam2.training.losses import mask_losses
from auralsam2.types import Box, Point, Prompts

CLICK = Prompts(
    points=(Point(x=WIDTH / 2, y=HEIGHT / 2),),
    boxes=(Box(x0=WIDTH * 0.4, y0=HEIGHT * 0.3, x1=WIDTH * 0.6, y1=HEIGHT * 0.7),),
)
PROMPTS: dict[str, tuple[Prompts, Any]] = {
    "audio": (Prompts(), "track"),
    "points+box": (CLICK, "none"),
    "audio+points+box": (CLICK, "track"),
}
CLIP_FRAMES = 5
PARITY_FRAMES = 3
TRAINING_STEPS = 5


class Measurements:
    """Measurements on one device within a time limit.

    Args:
        video: of `write_bench_clip`, one frame a second.
        device: of the networks, such as `cuda`.
        frames: of each speed measurement.
        limit: seconds after which no measurement begins.

    Attributes:
        rows: one dictionary for each measurement.
        left_out: names of the measurements that the limit prevented.
    """

    def __init__(self, video: Path, device: str, frames: int, limit: float) -> None:
        self._video, self._device, self._frames = video, device, frames
        self._end = time.monotonic() + limit
        self.rows: list[dict[str, Any]] = []
        self.left_out: list[str] = []

    def measure(self, name: str, network: AuralNetwork) -> None:
        """Measure a network with random weights on the CPU."""
        parity = f"{name}: parity"
        if self._has_time(parity):
            expected = list(self._masks(network, "fp32", PARITY_FRAMES, "audio"))
            moved = copy.deepcopy(network).to(self._device)
            for dtype in ("fp32", "bf16"):
                actual = self._masks(moved, dtype, PARITY_FRAMES, "audio")
                self._add(
                    model=name, measure="mask IoU with fp32 on the CPU", dtype=dtype, value=_iou(expected, actual)
                )
        network = network.to(self._device)
        for compiled in (False, True):
            if compiled:
                network.sam2.vision_encoder.compile()
            for prompts in PROMPTS:
                label = f"{prompts}, compiled" if compiled else prompts
                if self._has_time(f"{name}: {label}"):
                    self._measure_speed(name, network, prompts, label)
        if self._has_time(f"{name}: training"):
            self._measure_training(name, network)

    def _measure_speed(self, name: str, network: AuralNetwork, prompts: str, label: str) -> None:
        for _ in self._masks(network, "bf16", CLIP_FRAMES + 1, prompts):  # warm-up
            pass
        self._reset_peak()
        began = time.perf_counter()
        count = sum(1 for _ in self._masks(network, "bf16", self._frames, prompts))
        seconds = time.perf_counter() - began
        self._add(model=name, measure=f"frames a second, {label}", dtype="bf16", value=count / seconds)
        if (peak := self._peak()) is not None:
            self._add(model=name, measure=f"peak memory in GB, {label}", dtype="bf16", value=peak)

    def _measure_training(self, name: str, network: AuralNetwork) -> None:
        """Measure forward and backward passes of one clip with the mask losses, in bf16."""
        size, device = network.image_size, network.device
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randn(CLIP_FRAMES, 3, size, size, generator=generator).to(device)
        log_mel = torch.randn(CLIP_FRAMES, 2, 96, 64, generator=generator).to(device)
        labels = torch.rand(CLIP_FRAMES, size, size, generator=generator).to(device) > 0.5
        network.train()
        self._reset_peak()
        began = 0.0
        for step in range(TRAINING_STEPS + 1):
            if step == 1:  # the first one is the warm-up
                self._synchronise()
                began = time.perf_counter()
            with torch.autocast(device.type, torch.bfloat16):
                frames, prompts = network.encode_clip(pixels, log_mel)
                assert prompts is not None
                decoded = network.decode_independently(frames, prompts)
            loss = mask_losses(
                full_size(decoded.logits.float(), size), decoded.ious, decoded.object_score, labels, MaskLossConfig()
            ).total
            loss.backward()
            network.zero_grad(set_to_none=True)
        self._synchronise()
        rate = TRAINING_STEPS / (time.perf_counter() - began)
        network.eval()
        self._add(model=name, measure=f"training steps a second, {CLIP_FRAMES} frames", dtype="bf16", value=rate)

    def _masks(self, network: AuralNetwork, dtype: str, frames: int, prompts: str) -> Iterator[np.ndarray]:
        user, audio = PROMPTS[prompts]
        segmentation = AuralSAM2(network, "random", dtype).segment(
            self._video, prompts=user, audio=audio, end=float(frames)
        )
        for frame in segmentation:
            yield frame.logits > 0

    def _has_time(self, name: str) -> bool:
        if time.monotonic() < self._end:
            return True
        self.left_out.append(name)
        return False

    def _add(self, **row: Any) -> None:
        self.rows.append(row)
        print(f"{row['model']:>10}  {row['measure']:45} {row['dtype']:5} {row['value']:9.3f}", flush=True)

    def _synchronise(self) -> None:
        if self._device.startswith("cuda"):
            torch.cuda.synchronize()

    def _reset_peak(self) -> None:
        if self._device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats()

    def _peak(self) -> float | None:
        return torch.cuda.max_memory_allocated() / 1e9 if self._device.startswith("cuda") else None


def _iou(expected: list[np.ndarray], actual: Iterator[np.ndarray]) -> float:
    """Return the lowest IoU of the masks of a frame; 1 for two empty masks."""
    values = []
    for mask, other in zip(expected, actual, strict=True):
        union = (mask | other).sum()
        values.append(float((mask & other).sum() / union) if union else 1.0)
    return min(values)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 1 if masks on the device differ from those on the CPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, mps or cpu (default cuda)")
    parser.add_argument("--models", nargs="+", choices=["base-plus", "large", "small"], default=["base-plus", "large"])
    parser.add_argument("--frames", type=int, default=60, help="frames of each speed measurement (default 60)")
    parser.add_argument("--limit", type=float, default=420.0, help="seconds for all measurements (default 420)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurements to a file too")
    options = parser.parse_args(arguments)
    machine = describe_machine(torch.device(options.device).type)
    print(", ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        video = write_bench_clip(Path(folder) / "clip.mp4", max(options.frames, 2 * CLIP_FRAMES), 1)
        measurements = Measurements(video, options.device, options.frames, options.limit)
        for name in options.models:
            measurements.measure(name, build_small_network() if name == "small" else build_full_network(name))
    if measurements.left_out:
        print(f"left out for lack of time: {', '.join(measurements.left_out)}")
    if options.json is not None:
        report = {"machine": machine, "rows": measurements.rows, "left_out": measurements.left_out}
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    parity = [row["value"] for row in measurements.rows if row["measure"].startswith("mask IoU")]
    return 0 if all(value >= 0.995 for value in parity) else 1


if __name__ == "__main__":
    sys.exit(main())
