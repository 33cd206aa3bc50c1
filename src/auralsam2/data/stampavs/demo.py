"""`python -m auralsam2.data.stampavs.demo --out FOLDER`: the clip that comes with the package, and its truth.

A scene of the split test-seen, of things that training knows and a scene that it never met. The scenes of StampAVS have
one frame a second; here their things move on between the seconds, so that the clip is a video like any other. At 1
frame a second `auralsam2 segment` looks at the very instants for which the truth is known.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from auralsam2.data.stampavs import clip, scenes, splits
from auralsam2.data.stampavs.assets import Collection, collect
from auralsam2.data.stampavs.licence import clip_notice
from auralsam2.data.stampavs.mixes import STANDARD
from auralsam2.data.stampavs.scenes import Scene
from auralsam2.errors import AuralError, UsageError, message_line
from auralsam2.media.writer import OverlayWriter
from auralsam2.outputs import rle
from auralsam2.outputs.staging import Staging, writing
from auralsam2.version import __version__

CLIP, TRUTH, LICENCE = "demo.mp4", "demo.json", "demo-licence.md"
SCHEMA = "auralsam2.demo/1"
SPLIT, KIND = "test-seen", "multi"
SEED = 355
"""Chosen by eye: things that look and sound unlike each other, alone, together, and seconds in which none is heard."""
SECONDS = 10
PICTURES = 20
"""A second; even, so that one falls on each instant for which the truth is known, the middle of a second."""
SIZE = 384


@dataclass(frozen=True, kw_only=True)
class Take:
    """A scene and how to have it again.

    Attributes:
        collection: whose stamps it shows.
        seed: 0 or greater.
        scene: at one frame a second.
    """

    collection: Collection
    seed: int
    scene: Scene


def take(stamps: Path | None = None, seed: int = SEED, size: int = SIZE) -> Take:
    """Draw a scene.

    Args:
        stamps: folder of stamps, None for the Debian package's.
        seed: 0 or greater.
        size: S, pixels, 32 to 1024.

    Raises:
        UsageError: a negative seed.
        UnavailableError: no stamps are named and the Debian package is not installed.
        InputError: the stamps cannot be used.
    """
    if seed < 0:
        raise UsageError(f"--seed {seed} must be 0 or greater")
    collection = collect(stamps)
    pool = splits.pool(collection, splits.held(collection, 0), SPLIT)
    # A stream of its own: no clip of a data set begins with the number behind the last split's.
    rng = np.random.default_rng([seed, len(splits.SPLITS)])
    scene = scenes.draw(rng, pool, STANDARD, KIND, size=size, frames=SECONDS)
    return Take(collection=collection, seed=seed, scene=scene)


def write(out: Path, taken: Take) -> Path:
    """Write the clip, its truth and its licence; earlier ones are replaced.

    Args:
        out: folder, made where missing.
        taken: what to write.

    Returns:
        the clip.

    Raises:
        OutputError: a file cannot be written.
    """
    scene, last = taken.scene, len(taken.scene.frames) - 1
    with Staging(out) as staging, writing(out):
        sound = staging.path / "sound.wav"
        clip.save_sound(sound, scene.samples)
        with OverlayWriter(staging.path / CLIP, audio_from=sound) as writer:
            for number in range(len(scene.frames) * PICTURES):
                # Frame i shows the instant i + 0.5.
                frame = min(max(number / PICTURES - 0.5, 0.0), last)
                writer.write(scene.stage.at(frame)[0], number / PICTURES)
        truth = json.dumps(describe(taken), ensure_ascii=False, separators=(",", ":"))
        (staging.path / TRUTH).write_text(truth + "\n", encoding="utf-8", newline="\n")
        used = [thing.stamp for thing in scene.things]
        heard = [thing.track.recording for thing in scene.things if thing.track]
        notice = clip_notice(taken.collection, used, heard, taken.seed)
        (staging.path / LICENCE).write_text(notice, encoding="utf-8", newline="\n")
        staging.publish([LICENCE, CLIP, TRUTH])
    return out / CLIP


def describe(taken: Take) -> dict[str, Any]:
    """The content of `demo.json`.

    Returns:
        `frames`: of each processed frame its `index`, its `time` in seconds and `rle`, the pixels of all that is heard
        in its second, in COCO's compressed run lengths; `scene`: what is known of the scene, see `clip.describe`; and
        how it was made.
    """
    scene = taken.scene
    facts = clip.describe("demo", SPLIT, scene, [])
    del facts["expressions"]
    frames = [{"index": index, "time": index + 0.5, "rle": rle.encode(mask)} for index, mask in enumerate(scene.target)]
    return {
        "schema": SCHEMA,
        "made_by": f"auralsam2 {__version__}",
        "stamps": taken.collection.source,
        "seed": taken.seed,
        "frames": frames,
        "scene": facts,
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m auralsam2.data.stampavs.demo", description="Draw the demo clip.")
    parser.add_argument("--out", type=Path, required=True, help=f"folder for {CLIP}, {TRUTH} and {LICENCE}")
    parser.add_argument("--seed", type=int, default=SEED, help=f"another number, another scene (default {SEED})")
    parser.add_argument("--stamps", type=Path, help="folder of NAME.png and NAME.ogg instead of the Debian package's")
    options = parser.parse_args(arguments)
    try:
        path = write(options.out, take(options.stamps, options.seed))
    except AuralError as error:
        print(message_line("error", error), file=sys.stderr)
        return error.exit_code
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
