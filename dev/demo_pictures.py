"""Pictures of the demo for README and docs: `python dev/demo_pictures.py [--out docs/images]`.

Runs `auralsam2 demo` and writes NAME.jpg for each clip: the frames of its overlay, one a second.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from auralsam2.cli.demo import run_demo
from auralsam2.media.frame_reader import read_frames

SIDE, GAP, COLUMNS = 192, 4, 5


def tile(images: list[np.ndarray]) -> Image.Image:
    """Arrange square frames in rows of five, with white gaps."""
    rows = -(-len(images) // COLUMNS)
    sheet = Image.new("RGB", tuple(count * (SIDE + GAP) - GAP for count in (COLUMNS, rows)), "white")
    for number, image in enumerate(images):
        small = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        sheet.paste(small, tuple(place * (SIDE + GAP) for place in (number % COLUMNS, number // COLUMNS)))
    return sheet


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder; default: %(default)s")
    parser.add_argument("--model", default="mini")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for result in run_demo(Path(folder), options.model):
            with read_frames(result.overlay) as frames:
                sheet = tile([frame.image for frame in frames])
            path = options.out / f"{result.overlay.parent.name}.jpg"
            sheet.save(path, quality=85, optimize=True)
            print(f"{path}: M_J {result.score:.3f}")


if __name__ == "__main__":
    main()
