"""Builder of RealAVS: scenes of photographic cutouts over photographic backgrounds, with exact masks.

The layout is that of StampAVS, with the splits `train` and `test` and the manifest `realavs.json`. Sources marked as
held out occur in `test` only, all others in `train` only. Equal settings give equal bytes; an interrupted build with
the same settings is resumed.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from auralsam2.errors import InputError, UsageError
from auralsam2.stampavs import scene as scene_module
from auralsam2.stampavs.assets import read_picture
from auralsam2.stampavs.build import Progress, write_data_set
from auralsam2.stampavs.clip_files import ClipRows, build_clip
from auralsam2.stampavs.expressions import Expression
from auralsam2.stampavs.layout import LayoutLimits
from auralsam2.stampavs.photographs import (
    SOURCE_SPLITS,
    PhotographSources,
    crop_background,
    cut_out,
    photograph_pool,
    read_sources,
)
from auralsam2.stampavs.presets import HARD, scene_kind
from auralsam2.stampavs.splits import AssetPool, read_splits
from auralsam2.version import __version__

REAL_SCHEMA = "realavs/1"
MANIFEST = "realavs.json"
CUTOUTS = "cutouts"
NOISE = 2.0
"""Standard deviation of the camera noise, of 255."""
_KINDS = {"train": "train", "test": "test-seen"}
"""Splits of StampAVS whose kinds of scenes a split has."""

PHOTOGRAPHIC = dataclasses.replace(
    HARD,
    name="standard",
    backgrounds=((scene_module.PHOTOGRAPH, 1.0),),
    layout=LayoutLimits(
        extents=((0.4, 0.75), (0.35, 0.6), (0.3, 0.5), (0.28, 0.45)), overlap=0.3, drift=0.3, turn=10, outside=0.05
    ),
    visible=0.5,
    silent=0.5,
    offscreen=0.0,
)


@dataclass(frozen=True, kw_only=True)
class RealPlan:
    """Settings of a build.

    Attributes:
        sources: folder of photographs, backgrounds and sounds.
        seed: 0 or greater.
        size: side of the frames in pixels, 32 to 1024.
        train, test: number of clips.
        excluded: categories to leave out; None for those that StampAVS holds out of its training.
    """

    sources: Path
    seed: int = 0
    size: int = 256
    train: int = 1000
    test: int = 100
    excluded: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"`seed={self.seed}` must be 0 or greater")
        if not 32 <= self.size <= scene_module.MAX_SIZE:
            raise UsageError(f"`size={self.size}` must be 32 to {scene_module.MAX_SIZE} pixels")
        for name in ("train", "test"):
            if getattr(self, name) < 0:
                raise UsageError(f"`{name}={getattr(self, name)}` must be 0 or greater")

    @property
    def left_out(self) -> frozenset[str]:
        """Categories without scenes."""
        return frozenset(read_splits().categories if self.excluded is None else self.excluded)


def build_realavs(
    root: Path,
    plan: RealPlan,
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build the data set and return the content of `realavs.json`; arguments as of `stampavs.build.build_stampavs`.

    Raises:
        InputError: the sources cannot be used.
        OutputError: the folder contains other files, or cannot be written.
    """
    if not plan.sources.is_dir():
        raise InputError(f"{plan.sources}: no such folder: name a folder with photos.json, backgrounds.csv, sounds.csv")
    counts = {split: getattr(plan, split) for split in SOURCE_SPLITS if getattr(plan, split)}
    sources = {split: read_sources(plan.sources, split, plan.left_out) for split in counts}
    for split, source in sources.items():
        if not source.backgrounds:
            raise InputError(f"{plan.sources}: backgrounds.csv has no {SOURCE_SPLITS[split]} file")
    pools = {split: photograph_pool(source, root / CUTOUTS / split) for split, source in sources.items()}
    manifest = _describe(plan, counts, sources, pools)

    def draw_clip(split: str, index: int) -> tuple[scene_module.Scene, list[Expression]]:
        scene = draw_real_scene(pools[split], sources[split], split, index, seed=plan.seed, size=plan.size)
        return scene, []

    def make_clips(staging: Path) -> Iterator[ClipRows]:
        for split, source in sources.items():
            save_cutouts(source, root / CUTOUTS / split)
        for split, count in counts.items():
            for index in range(count):
                yield build_clip(root, staging, f"{split}-{index:05d}", split, partial(draw_clip, split, index))

    write_data_set(root, MANIFEST, manifest, _licence(sources), sum(counts.values()), make_clips, progress=progress)
    return manifest


def draw_real_scene(
    pool: AssetPool,
    sources: PhotographSources,
    split: str,
    index: int,
    *,
    seed: int,
    size: int,
    kind: str | None = None,
    frames: int | None = None,
) -> scene_module.Scene:
    """Draw the scene of a clip: cutouts over a photograph, with the noise and the blur of a camera.

    Arguments as of `scene.draw_scene`; `pool` and the backgrounds of `sources` are those of the split, and `kind` is by
    default that of the clip in the data set.
    """
    rng = np.random.default_rng([seed, list(SOURCE_SPLITS).index(split), index])
    path = sources.backgrounds[int(rng.integers(len(sources.backgrounds)))].path
    blur = float(rng.uniform(0.0, 0.8)) * size / 256

    def background(size: int, image_rng: np.random.Generator) -> np.ndarray:
        return crop_background(read_picture(path, "RGB"), size, image_rng)

    kind = kind or scene_kind(_KINDS[split], index)
    scene = scene_module.draw_scene(rng, pool, PHOTOGRAPHIC, kind, size=size, frames=frames, background=background)
    pictures = np.stack([add_camera_noise(frame, blur, rng) for frame in scene.frames])
    return dataclasses.replace(scene, frames=pictures)


def add_camera_noise(frame: np.ndarray, blur: float, rng: np.random.Generator) -> np.ndarray:
    """Blur a frame (H, W, 3) uint8 by a Gaussian of `blur` pixels, and add noise of standard deviation `NOISE`."""
    soft = np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32)
    return np.clip(np.rint(soft + rng.normal(0.0, NOISE, soft.shape)), 0, 255).astype(np.uint8)


def save_cutouts(sources: PhotographSources, folder: Path) -> None:
    """Write the cutout of each mask, `KEY.png`, to a folder; existing files stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for mask in sources.masks:
        path = folder / f"{mask.key}.png"
        if not path.is_file():
            draft = path.with_name(f".{path.name}.part")
            cut_out(mask).save(draft, format="PNG")
            draft.replace(path)


def _describe(
    plan: RealPlan, counts: dict[str, int], sources: dict[str, PhotographSources], pools: dict[str, AssetPool]
) -> dict[str, Any]:
    """Return the content of `realavs.json`; equal for equal settings and sources."""
    return {
        "schema": REAL_SCHEMA,
        "made_by": f"auralsam2 {__version__}",
        "seed": plan.seed,
        "size": plan.size,
        "excluded": sorted(plan.left_out),
        "counts": {split: {PHOTOGRAPHIC.name: count} for split, count in counts.items()},
        "categories": {
            split: {
                category.name: {"pictures": len(category.pictures), "recordings": len(category.recordings)}
                for category in pool.targets
            }
            for split, pool in pools.items()
        },
        "silent": {split: len(pool.silent) for split, pool in pools.items()},
        "backgrounds": {split: len(source.backgrounds) for split, source in sources.items()},
        "sha256": {split: _digest(source) for split, source in sources.items()},
    }


def _digest(sources: PhotographSources) -> str:
    digest = hashlib.sha256()
    for item in (*sources.masks, *sources.backgrounds, *sources.sounds):
        digest.update(item.path.name.encode() + b"\0" + hashlib.sha256(item.path.read_bytes()).digest())
    for mask in sources.masks:
        digest.update(mask.key.encode() + b"\0" + np.packbits(mask.mask).tobytes())
    return digest.hexdigest()


def _licence(sources: dict[str, PhotographSources]) -> str:
    credit = sorted({line for source in sources.values() for line in source.credits})
    return (
        "# Licence of this data set\n\n"
        "Frames and sounds are made from the photographs and recordings below, and are under their licences. "
        "`scene.json` names the cutout and the recording of every object.\n\n"
        + "".join(f"- {line}\n" for line in credit)
    )
