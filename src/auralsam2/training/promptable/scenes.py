"""Pictures to train and to test on: scenes of StampAVS without their sound, drawn by number.

Nothing is stored: clip number i of a seed is always the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from auralsam2.data.stampavs import splits
from auralsam2.data.stampavs.assets import Collection, collect
from auralsam2.data.stampavs.mixes import HARD, STANDARD, Mix
from auralsam2.data.stampavs.scenes import draw
from auralsam2.data.stampavs.splits import Held, Pool

Part = Literal["train", "held-out"]

VARIED = replace(
    STANDARD,
    name="varied",
    backgrounds=(("plain", 0.3), ("gradient", 0.35), ("texture", 0.2), ("clutter", 0.15)),
    room=replace(STANDARD.room, turn=25, overlap=0.4, drift=0.35, outside=0.05),
    visible=0.5,
    silent=0.75,
    tone=0.2,
)
"""For training: most things are of the many that have no sound, and they stand on all kinds of ground."""
_HARD_PART = 0.15
_PARTS = ("train", "held-out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """T frames one second apart.

    Attributes:
        frames: (T, S, S, 3) uint8.
        owners: (T, S, S) uint8, which object shows at each pixel, from 1; 0 for none.
        kinds: (n,) int16, what each object is: its place in `Scenes.kinds`.
    """

    frames: np.ndarray
    owners: np.ndarray
    kinds: np.ndarray


class Scenes:
    """Clips by number.

    Args:
        part: "train" draws from what the splits leave for training, "held-out" from what they keep from it: pictures
            of trained things, things of untrained kinds, pictures of silent things.
        size: S.
        frames: T.
        seed: another one, other clips.
        stamps: folder of stamps, None for the Debian package's.
    """

    def __init__(self, part: Part, *, size: int, frames: int, seed: int, stamps: Path | None = None) -> None:
        self.part, self.size, self.frames, self.seed = part, size, frames, seed
        collection = collect(stamps)
        held = splits.held(collection, 0)
        self.pool = splits.pool(collection, held, "train") if part == "train" else held_out(collection, held)
        categories = {category.name for category in (*self.pool.targets, *self.pool.others)}
        self.kinds = (*sorted(categories), *(picture.key for picture in self.pool.silent))
        """Names of all that can be seen: categories, and pictures of things that belong to none."""
        self._numbers = {name: number for number, name in enumerate(self.kinds)}

    def __getitem__(self, number: int) -> Clip:
        """Draw clip number `number`."""
        rng = np.random.default_rng([self.seed, _PARTS.index(self.part), number])
        scene = draw(rng, self.pool, self._mix(rng), "silence", size=self.size, frames=self.frames)
        owners = (scene.masks * np.arange(1, len(scene.masks) + 1, dtype=np.uint8)[:, None, None, None]).sum(0)
        roles = [thing.role for thing in scene.things]
        names = [role.category.name if role.category else role.picture.key for role in roles]
        kinds = np.array([self._numbers[name] for name in names], dtype=np.int16)
        return Clip(frames=scene.frames, owners=owners.astype(np.uint8), kinds=kinds)

    def _mix(self, rng: np.random.Generator) -> Mix:
        if self.part == "held-out":
            return STANDARD
        return HARD if rng.random() < _HARD_PART else VARIED


def held_out(collection: Collection, held: Held) -> Pool:
    """All that training never meets, whether it sounds or not."""
    parts = [
        splits.pool(collection, held, split)
        for split in ("test-new-image", "test-unseen")
        if split in splits.possible(collection, held)
    ]
    targets = tuple(category for part in parts for category in part.targets)
    return Pool(targets=targets, others=targets, silent=parts[0].silent)
