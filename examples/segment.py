"""Segment a video with audio prompts, print the seconds in which an object sounds, and save all files.

    python "$(auralsam2 samples segment)" [VIDEO] [--model NAME] [--out DIR]

The default video is the demo clip, the default model `mini`. Use a released model such as `v1m` for your own videos.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import auralsam2
from auralsam2.samples import demo_clip


def main(video: Path, model_name: str, out: Path) -> None:
    """Segment one frame a second and save overlay, masks and `result.json` in `out/NAME/`."""
    model = auralsam2.load(model_name)
    result = model.segment(video)
    folder = result.save(
        out, on_frame=lambda frame: print(f"{frame.time:6.2f} s  {frame.mask.mean():6.1%} of the frame")
    )
    for warning in result.warnings:
        print(f"note: {warning}")
    for start, end in json.loads((folder / "result.json").read_text(encoding="utf-8"))["intervals"]:
        print(f"a visible object sounds from {start:.1f} to {end:.1f} s")
    print(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path, default=demo_clip(), metavar="VIDEO")
    parser.add_argument("--model", default="mini", metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("out/segment"), metavar="DIR")
    arguments = parser.parse_args()
    main(arguments.video, arguments.model, arguments.out)
