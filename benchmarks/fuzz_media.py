"""Damaged videos for `fuzz.py`, in several containers and codecs: read, segmented and saved."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from auralsam2.bench.material import build_small_network
from auralsam2.model import AuralSAM2
from auralsam2.outputs.formats import OUTPUT_FILES
from auralsam2.types import Point, Prompts
from helpers.media_files import mutated, tone, write_clip

SAVE = frozenset(OUTPUT_FILES) - {"cutout-prores", "cutout-webm", "cutout-png", "matte-prores"}
"""Formats of each case; `matte` stands for those that read the pictures again."""
UNDAMAGED_EVERY = 10
"""Every tenth case is undamaged."""


class Media:
    """Videos that are cut, overwritten or have the header of another container.

    Every case is segmented at 2 frames per second by its audio, odd cases also by a point, and saved in all forms.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._seed = folder, seed
        bases = folder / "bases"
        bases.mkdir()
        opus: dict[str, Any] = {"audio_codec": "libopus", "sound": tone(1.0, 48_000), "rate": 48_000}
        self._bases = [
            write_clip(bases / "first.mp4", 1.0, container_options={"movflags": "+faststart"}),
            write_clip(bases / "last.mp4", 1.0),
            write_clip(bases / "opus.mkv", 1.0, **opus),
            write_clip(bases / "mp3.ts", 1.0, audio_codec="mp3"),
            write_clip(bases / "mpeg4.avi", 1.0, codec="mpeg4", audio_codec="mp3"),
            write_clip(bases / "mpeg2.mpg", 1.0, codec="mpeg2video", fps=25, audio_codec="mp2"),
            write_clip(bases / "flash.flv", 1.0, codec="flv", audio_codec="mp3", sound=tone(1.0, 44_100), rate=44_100),
            write_clip(bases / "vp9.webm", 1.0, codec="libvpx-vp9", options={"deadline": "realtime"}, **opus),
        ]
        self._headers = [base.read_bytes()[:1024] for base in self._bases]
        self._model = AuralSAM2(build_small_network(64), "small")
        self._out = folder / "out"

    def make(self, number: int) -> Path:
        """Write case `number`."""
        base = self._bases[number % len(self._bases)]
        data, rng = base.read_bytes(), np.random.default_rng((self._seed, number))
        if number % UNDAMAGED_EVERY == 1:
            data = self._headers[rng.integers(len(self._headers))] + data[1024:]
        elif number % UNDAMAGED_EVERY:
            data = mutated(data, rng)
        case = self._folder / f"{number:06d}{base.suffix}"
        case.write_bytes(data)
        return case

    def run(self, case: Path) -> None:
        """Segment the video and save the results."""
        prompts = Prompts(points=(Point(x=20, y=20),) if int(case.stem) % 2 else ())
        self._model.segment(case, prompts=prompts, fps=2.0).save(self._out, save=SAVE)

    def leftovers(self, case: Path) -> list[Path]:
        """Return hidden files and missing results of the case, and remove its results."""
        folder = self._out / case.stem
        partial = list(self._out.rglob(".*")) if self._out.exists() else []
        if folder.exists():
            partial += [folder / name for name in map(OUTPUT_FILES.__getitem__, SAVE) if not (folder / name).exists()]
        shutil.rmtree(self._out, ignore_errors=True)
        return partial


KINDS = {"media": Media}
