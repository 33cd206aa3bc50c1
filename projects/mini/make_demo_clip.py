"""`python -m projects.mini.make_demo_clip --out FOLDER`: the clip that comes with the package, and its truth.

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

from auralsam2.errors import AuralError, UsageError, message_line
from auralsam2.media.video_writer import OverlayWriter
from auralsam2.outputs import rle
from auralsam2.stampavs import clip_files, splits
from auralsam2.stampavs import scene as scene_module
from auralsam2.stampavs.assets import AssetCollection, collect_assets
from auralsam2.stampavs.licence import clip_licence_notice
from auralsam2.stampavs.presets import STANDARD
from auralsam2.stampavs.scene import Scene
from auralsam2.utils.atomic_io import Staging, writing
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
class DemoClip:
    """A scene and how to have it again.

    Attributes:
        collection: whose stamps it shows.
        seed: 0 or greater.
        scene: at one frame a second.
    """

    collection: AssetCollection
    seed: int
    scene: Scene


def draw_demo_clip(stamps: Path | None = None, seed: int = SEED, size: int = SIZE) -> DemoClip:
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
    collection = collect_assets(stamps)
    pool = splits.asset_pool(collection, splits.split_assets(collection, 0), SPLIT)
    # A stream of its own: no clip of a data set begins with the number behind the last split's.
    rng = np.random.default_rng([seed, len(splits.SPLITS)])
    scene = scene_module.draw_scene(rng, pool, STANDARD, KIND, size=size, frames=SECONDS)
    return DemoClip(collection=collection, seed=seed, scene=scene)


def write_demo_clip(out: Path, taken: DemoClip) -> Path:
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
        clip_files.save_sound(sound, scene.samples)
        with OverlayWriter(staging.path / CLIP, audio_from=sound) as writer:
            for number in range(len(scene.frames) * PICTURES):
                # Frame i shows the instant i + 0.5.
                frame = min(max(number / PICTURES - 0.5, 0.0), last)
                writer.write(scene.renderer.render_frame(frame)[0], number / PICTURES)
        truth = json.dumps(describe_demo_clip(taken), ensure_ascii=False, separators=(",", ":"))
        (staging.path / TRUTH).write_text(truth + "\n", encoding="utf-8", newline="\n")
        used = [thing.stamp for thing in scene.objects]
        heard = [thing.track.recording for thing in scene.objects if thing.track]
        notice = clip_licence_notice(taken.collection, used, heard, taken.seed)
        (staging.path / LICENCE).write_text(notice, encoding="utf-8", newline="\n")
        staging.publish([LICENCE, CLIP, TRUTH])
    return out / CLIP


def describe_demo_clip(taken: DemoClip) -> dict[str, Any]:
    """The content of `demo.json`.

    Returns:
        `frames`: of each processed frame its `index`, its `time` in seconds and `rle`, the pixels of all that is heard
        in its second, in COCO's compressed run lengths; `scene`: what is known of the scene, see `clip.describe`; and
        how it was made.
    """
    scene = taken.scene
    facts = clip_files.describe_clip("demo", SPLIT, scene, [])
    del facts["expressions"]
    frames = [
        {"index": index, "time": index + 0.5, "rle": rle.encode_rle(mask)} for index, mask in enumerate(scene.target)
    ]
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
    parser = argparse.ArgumentParser(prog="python -m projects.mini.make_demo_clip", description="Draw the demo clip.")
    parser.add_argument("--out", type=Path, required=True, help=f"folder for {CLIP}, {TRUTH} and {LICENCE}")
    parser.add_argument("--seed", type=int, default=SEED, help=f"another number, another scene (default {SEED})")
    parser.add_argument("--stamps", type=Path, help="folder of NAME.png and NAME.ogg instead of the Debian package's")
    options = parser.parse_args(arguments)
    try:
        path = write_demo_clip(options.out, draw_demo_clip(options.stamps, options.seed))
    except AuralError as error:
        print(message_line("error", error), file=sys.stderr)
        return error.exit_code
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
