"""Scores of guesses without audio on StampAVS, for each split and preset.

    python experiments/stampavs_blind.py ROOT [--write docs/benchmarks/stampavs.md]

J is the IoU of guess and target in one frame, averaged over all frames of a split that have a target. The guesses use
the exact masks of all objects: (a) all objects together, (b) the object that is largest in the frame, (c) nothing,
(d) a random object, as the expected value. All four are low if the task needs audio. The exit code is 1 if (a) reaches
0.55 in a split.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from reporting import markdown_table, write_section
from stampavs_masks import GUESSES, guess_scores, read_masks, read_objects

LIMIT = 0.55

Results = dict[tuple[str, str], tuple[int, int, list[tuple[float, float, float, float]]]]
"""Number of clips, number of frames, and scores of the frames with a target, by split and preset."""


def measure(root: Path) -> Results:
    """Compute the scores of all clips in a folder of StampAVS."""
    results: Results = defaultdict(lambda: (0, 0, []))
    with (root / "metadata.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            clip = root / "gt_mask" / row["uid"]
            clips, frames, scores = results[row["split"], row["mix"]]
            scores += guess_scores(read_masks(clip / "sounding"), read_objects(clip))
            results[row["split"], row["mix"]] = clips + 1, frames + int(row["frames"]), scores
    return results


def format_results(results: Results) -> str:
    """Format the scores as Markdown."""
    rows = []
    for (split, mix), (clips, frames, scores) in results.items():
        means = [f"{value:.3f}" for value in np.mean(scores, axis=0)] if scores else ["-"] * len(GUESSES)
        rows.append([split, mix, str(clips), str(frames), str(len(scores)), *means])
    return markdown_table(["split", "mix", "clips", "frames", "with target", *GUESSES], rows)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="folder that data build-stampavs wrote")
    parser.add_argument("--write", type=Path, help="document with the section `blind`")
    arguments = parser.parse_args()
    results = measure(arguments.root)
    text = format_results(results)
    print(text)
    if arguments.write:
        write_section(arguments.write, "blind", text)
    easy = [key for key, (_, _, scores) in results.items() if scores and np.mean(scores, axis=0)[0] >= LIMIT]
    for split, mix in easy:
        print(f"{split} {mix}: all objects reach {LIMIT} or more without audio", file=sys.stderr)
    return bool(easy)


if __name__ == "__main__":
    sys.exit(main())
