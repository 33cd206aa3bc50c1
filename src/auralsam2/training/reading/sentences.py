"""What is said of scenes of StampAVS, drawn by number; nothing is stored.

A sentence is about places and sounds, so its scene is drawn in full, but as small as a scene can sensibly be: 64 pixels
leave every object to be seen, and take a fiftieth of a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from auralsam2.data.stampavs import splits
from auralsam2.data.stampavs.assets import collect
from auralsam2.data.stampavs.expressions import Expression, write
from auralsam2.data.stampavs.mixes import STANDARD, kind_of
from auralsam2.data.stampavs.scenes import draw

Part = Literal["train", "val", "test-unseen"]

SIZE = 64
_ABSENT = 6


class Sentences:
    """Sentences about scenes by number.

    Args:
        part: "train", "val" for other scenes of the same things, "test-unseen" for things that training never meets.
        told: most sentences of a scene that refer to an object.
        nulls: most that refer to none.
        seed: another one, other scenes.
        stamps: folder of stamps, None for the Debian package's.
    """

    def __init__(self, part: Part, *, told: int, nulls: int, seed: int, stamps: Path | None = None) -> None:
        self.part, self.told, self.nulls, self.seed = part, told, nulls, seed
        collection = collect(stamps)
        self.pool = splits.pool(collection, splits.held(collection, 0), part)
        categories = {category.name for category in (*self.pool.targets, *self.pool.others)}
        self.names = tuple(sorted(categories | {picture.name for picture in self.pool.silent if picture.name}))
        """All that a sentence may call a thing."""

    def __getitem__(self, number: int) -> list[Expression]:
        """What is said of scene number `number`."""
        rng = np.random.default_rng([self.seed, splits.SPLITS.index(self.part), number])
        scene = draw(rng, self.pool, STANDARD, kind_of(self.part, number), size=SIZE)
        there = {*scene.categories, *(track.category for track in scene.offscreen)}
        away = [category for category in self.pool.others if category.name not in there]
        absent = [away[int(choice)] for choice in rng.permutation(len(away))[:_ABSENT]]
        return write(scene, self.told, self.nulls, absent, rng)
