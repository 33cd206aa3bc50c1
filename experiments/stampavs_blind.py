"""Scores of guesses without audio on StampAVS, for each split and preset.

    python experiments/stampavs_blind.py ROOT [--write docs/benchmarks/stampavs.md]

J is the IoU of guess and target in one frame, ordinary, averaged over all frames of a split that have a target. The
guesses know the exact mask of every object: (a) all of them together, (b) the one that is largest in the frame,
(c) nothing, (d) one of them by chance (the expected value, not a draw). Where hearing decides, all four are low; (a)
must stay under 0.55.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from auralsam2.evaluation.metrics import mask_iou

LIMIT = 0.55
BEGIN, END = "<!-- blind:begin -->", "<!-- blind:end -->"
GUESSES = ("all objects", "largest object", "nothing", "random object")


def read(folder: Path) -> np.ndarray:
    """Read the masks of a folder, (T, S, S) bool."""
    files = sorted(folder.glob("*.png"))
    return np.stack([np.asarray(Image.open(file)) > 0 for file in files])


def scores(clip: Path) -> list[tuple[float, float, float, float]]:
    """Compute J of each guess in each frame of a clip with a target."""
    target = read(clip / "sounding")
    objects = np.stack([read(folder) for folder in sorted(clip.glob("fid_*"))])
    found = []
    for frame in np.flatnonzero(target.any(axis=(1, 2))):
        masks = objects[:, frame]
        single = [float(mask_iou(mask, target[frame])) for mask in masks]
        largest = int(masks.sum(axis=(1, 2)).argmax())
        union = float(mask_iou(masks.any(axis=0), target[frame]))
        found.append((union, single[largest], 0.0, float(np.mean(single))))
    return found


def measure(root: Path) -> dict[tuple[str, str], tuple[int, int, list[tuple[float, float, float, float]]]]:
    """Return clips, frames, and scores of the frames with a target, by split and preset."""
    clips: dict[tuple[str, str], int] = defaultdict(int)
    frames: dict[tuple[str, str], int] = defaultdict(int)
    found: dict[tuple[str, str], list[tuple[float, float, float, float]]] = defaultdict(list)
    with (root / "metadata.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            key = row["split"], row["mix"]
            clips[key] += 1
            frames[key] += int(row["frames"])
            found[key] += scores(root / "gt_mask" / row["uid"])
    return {key: (clips[key], frames[key], found[key]) for key in clips}


def table(results: dict[tuple[str, str], tuple[int, int, list[tuple[float, float, float, float]]]]) -> str:
    """Format as Markdown."""
    lines = [
        f"| split | mix | clips | frames | with target | {' | '.join(GUESSES)} |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (split, mix), (clips, frames, found) in results.items():
        means = [f"{value:.3f}" for value in np.mean(found, axis=0)] if found else ["-"] * len(GUESSES)
        lines.append(f"| {split} | {mix} | {clips} | {frames} | {len(found)} | {' | '.join(means)} |")
    return "\n".join(lines)


def main() -> int:
    """Run the command line; the exit code is 0 if audio is needed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder that data build-stampavs wrote")
    parser.add_argument("--write", type=Path, help="document whose table is to be replaced")
    arguments = parser.parse_args()
    results = measure(arguments.root)
    text = table(results)
    print(text)
    if arguments.write:
        document = arguments.write.read_text(encoding="utf-8")
        before, after = document.split(BEGIN)[0], document.split(END)[1]
        arguments.write.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    easy = [key for key, (_, _, found) in results.items() if found and np.mean(found, axis=0)[0] >= LIMIT]
    for split, mix in easy:
        print(f"{split} {mix}: all objects reach {LIMIT} or more without hearing", file=sys.stderr)
    return bool(easy)


if __name__ == "__main__":
    sys.exit(main())
