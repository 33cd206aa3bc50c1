"""`python -m projects.mini.make_demo_clip --out FOLDER`: make a bundled demo clip and its ground truth.

The clip is a scene of the split test-seen: training categories in a new scene, over a plain ground or, with
`--background FILE`, over a photograph. StampAVS scenes have one frame a second; here the objects also move between the
seconds. At 1 frame a second, `auralsam2 segment` processes exactly the frames with ground truth.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from auralsam2.errors import UsageError
from auralsam2.media.video_writer import VideoWriter
from auralsam2.outputs import rle
from auralsam2.stampavs import clip_files, splits
from auralsam2.stampavs import scene as scene_module
from auralsam2.stampavs.assets import AssetCollection, collect_assets, read_picture
from auralsam2.stampavs.licence import clip_licence_notice
from auralsam2.stampavs.photographs import crop_background
from auralsam2.stampavs.presets import STANDARD
from auralsam2.stampavs.scene import Scene
from auralsam2.utils.atomic_io import Staging, writing
from auralsam2.version import __version__
from projects.mini.stage_loop import exit_code

PLAIN, PHOTOGRAPH = "demo", "demo-photograph"
"""Names of the clips: NAME.mp4, NAME.json and NAME-licence.md."""
SCHEMA = "auralsam2.demo/1"
SPLIT, KIND = "test-seen", "multi"
SEEDS = {PLAIN: 355, PHOTOGRAPH: 365}
"""Chosen by eye: distinct objects that sound alone and together, and silent seconds."""
SECONDS = 10
FPS = 20
"""Frames a second; even, so that one falls on the middle of each second, the time of the ground truth."""
SIZE = 384


@dataclass(frozen=True, kw_only=True)
class DemoClip:
    """Scene with one frame per second, its seed, its stamps, and its background; None for a plain ground."""

    collection: AssetCollection
    seed: int
    scene: Scene
    background: Path | None = None

    @property
    def name(self) -> str:
        """Name of the files."""
        return PHOTOGRAPH if self.background else PLAIN


def draw_demo_clip(
    stamps: Path | None = None, seed: int | None = None, size: int = SIZE, background: Path | None = None
) -> DemoClip:
    """Draw a scene.

    Args:
        stamps: folder of stamps; None for the Debian package's.
        seed: number of the scene; None for the bundled one.
        size: side of the frames in pixels.
        background: photograph behind the objects; None for a plain ground.
    """
    if seed is None:
        seed = SEEDS[PHOTOGRAPH if background else PLAIN]
    if seed < 0:
        raise UsageError(f"--seed {seed} must be 0 or greater")
    collection = collect_assets(stamps)
    pool = splits.asset_pool(collection, splits.split_assets(collection, 0), SPLIT)
    # The number after the last split's gives a random stream that no clip of a data set has.
    rng = np.random.default_rng([seed, len(splits.SPLITS)])
    ground = partial(crop_background, read_picture(background, "RGB")) if background else None
    scene = scene_module.draw_scene(rng, pool, STANDARD, KIND, size=size, frames=SECONDS, background=ground)
    return DemoClip(collection=collection, seed=seed, scene=scene, background=background)


def write_demo_clip(out: Path, clip: DemoClip) -> Path:
    """Write clip, ground truth and licence to a folder, replacing existing files; return the path of the video."""
    scene, last = clip.scene, len(clip.scene.frames) - 1
    video, truth_file, licence = f"{clip.name}.mp4", f"{clip.name}.json", f"{clip.name}-licence.md"
    with Staging(out) as staging, writing(out):
        sound = staging.path / "sound.wav"
        clip_files.save_sound(sound, scene.samples)
        with VideoWriter(staging.path / video, audio_from=sound) as writer:
            for number in range(len(scene.frames) * FPS):
                # Frame i of the scene shows time i + 0.5 s.
                frame = min(max(number / FPS - 0.5, 0.0), last)
                writer.write(scene.renderer.render_frame(frame)[0], number / FPS)
        truth = json.dumps(describe_demo_clip(clip), ensure_ascii=False, separators=(",", ":"))
        (staging.path / truth_file).write_text(truth + "\n", encoding="utf-8", newline="\n")
        pictures = [item.stamp for item in scene.objects]
        recordings = [item.track.recording for item in scene.objects if item.track]
        notice = clip_licence_notice(clip.collection, clip.name, pictures, recordings, clip.seed, clip.background)
        (staging.path / licence).write_text(notice, encoding="utf-8", newline="\n")
        staging.publish([licence, video, truth_file])
    return out / video


def describe_demo_clip(clip: DemoClip) -> dict[str, Any]:
    """Return the content of `NAME.json`.

    Origin and description of the scene, and for each processed frame its `index`, `time` in seconds and `rle`, the mask
    of the sounding objects as COCO's compressed RLE.
    """
    scene = clip.scene
    facts = clip_files.describe_clip(clip.name, SPLIT, scene, [])
    del facts["expressions"]
    frames = [
        {"index": index, "time": index + 0.5, "rle": rle.encode_rle(mask)} for index, mask in enumerate(scene.target)
    ]
    return {
        "schema": SCHEMA,
        "made_by": f"auralsam2 {__version__}",
        "stamps": clip.collection.source,
        "seed": clip.seed,
        **({"background": clip.background.name} if clip.background else {}),
        "frames": frames,
        "scene": facts,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m projects.mini.make_demo_clip", description="Draw the demo clip.")
    parser.add_argument("--out", type=Path, required=True, help="folder for clip, ground truth and licence")
    parser.add_argument("--seed", type=int, help="number of the scene (default: that of the bundled clip)")
    parser.add_argument("--stamps", type=Path, help="folder of NAME.png and NAME.ogg instead of the Debian package's")
    parser.add_argument("--background", type=Path, help="photograph behind the objects instead of a plain ground")
    options = parser.parse_args(arguments)

    def make() -> None:
        path = write_demo_clip(options.out, draw_demo_clip(options.stamps, options.seed, background=options.background))
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")

    return exit_code(make)


if __name__ == "__main__":
    sys.exit(main())
