"""Segment the bundled clip interactively: audio, a correction, a second object, propagation, export.

    python "$(auralsam2 samples interactive)" [OUT]

A sheep bleats and a goose honks, now and then; a pig is silent. The goose is to be an object of its own. Writes
`both/coco.json` (both objects), `goose/coco.json` (the goose alone) and a picture of each frame into OUT, by default
`out/interactive`.
"""

from __future__ import annotations

import argparse
from itertools import groupby
from pathlib import Path

from PIL import Image

import auralsam2
from auralsam2.outputs.export import export_segmentations
from auralsam2.outputs.overlay import draw_overlay
from auralsam2.samples import demo_clip

WHAT_SOUNDS, GOOSE = 0, 1
AROUND_GOOSE = (slice(200, 360), slice(60, 160))
"""Rows and columns of the goose at 3.5 seconds."""
COLOURS = {WHAT_SOUNDS: (255, 64, 160), GOOSE: (64, 160, 255)}


def main(out: Path) -> None:
    """Run the session."""
    model = auralsam2.load("mini")
    with model.open(demo_clip()) as session:
        session.hear(True)
        heard = session.predict(time=3.5)
        print(f"what sounds at {heard.time:.1f} s: {heard.mask[AROUND_GOOSE].mean():.1%} of the goose's surroundings")

        corrected = session.add_points([(112, 296)], labels=[0], time=3.5, object_id=WHAT_SOUNDS)
        print(f"after a negative click: {corrected.mask[AROUND_GOOSE].mean():.1%}")

        goose = session.add_box((88, 180, 178, 348), time=5.5, object_id=GOOSE)
        print(f"the goose at {goose.time:.1f} s: {goose.mask.mean():.1%}, predicted IoU {goose.iou:.2f}")

        followed = list(session.propagate(direction="both"))
        print(*export_segmentations(["coco"], out / "both", session.info, followed))
        for index, objects in groupby(followed, key=lambda frame: frame.index):
            frame = None
            for found in objects:
                frame = draw_overlay(found.image if frame is None else frame, found.mask, COLOURS[found.object_id])
            if frame is not None:
                Image.fromarray(frame).save(out / f"{index:06d}.jpg")

        session.remove(WHAT_SOUNDS)
        print(*export_segmentations(["coco"], out / "goose", session.info, session.propagate(direction="both")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=Path("out/interactive"), metavar="OUT")
    main(parser.parse_args().out)
