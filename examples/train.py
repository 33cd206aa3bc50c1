"""Train AuralFuser on StampAVS from Python, then segment the demo clip with the trained model.

    pip install 'auralsam2[train]'
    auralsam2 data build-stampavs data/stamp
    python "$(auralsam2 samples train)" data/stamp [--steps 200] [--out runs/example] [--set KEY=VALUE]

Starts from the packaged recipe `stampavs-mini-fuser`. SAM 2 and the audio encoder of the bundled model stay frozen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import auralsam2
from auralsam2.samples import demo_clip, find_recipe
from auralsam2.training.recipe import TrainingRecipe
from auralsam2.training.run import train


def main(root: Path, steps: int, out: Path, changes: list[str]) -> None:
    """Train for some steps and print the masked fraction of each frame of the demo clip."""
    own = [f"data.root={root}", f"data.cache={out / 'cache'}", f"trainer.max_steps={steps}"]
    recipe = TrainingRecipe.load(find_recipe(Path("stampavs-mini-fuser")), own + changes)
    train(recipe, out)
    model = auralsam2.load(out / "last")
    for frame in model.segment(demo_clip()):
        print(f"{frame.time:6.2f} s  {frame.mask.mean():6.1%} of the frame")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder of a StampAVS data set")
    parser.add_argument("--steps", type=int, default=200, metavar="N")
    parser.add_argument("--out", type=Path, default=Path("runs/example"), metavar="DIR")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the recipe")
    arguments = parser.parse_args()
    main(arguments.root, arguments.steps, arguments.out, arguments.set)
