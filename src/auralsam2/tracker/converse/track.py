"""The state of one object: what was said of it, and what came of it on the frames where it was said."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from auralsam2.decoder.visual import VisualPrompts
from auralsam2.tracker.converse.found import Found
from auralsam2.tracker.converse.sounds import Said
from auralsam2.tracker.memory import Remembered

NOTHING_SAID = Said(False, None)


@dataclass(frozen=True, slots=True)
class Seed:
    """A frame on which the user points at an object; the memory of the object grows from these.

    Attributes:
        rounds: the visual prompts after each thing said, each with all said before; every round corrects the mask of
            the one before.
        corrects: (4h, 4w) logits of the mask on display when the first was said, or None.
        found: the mask after the last round.
        remembered: what other frames attend to.
    """

    rounds: tuple[VisualPrompts, ...]
    corrects: torch.Tensor | None
    found: Found
    remembered: Remembered


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """One object as far as the user has told of it. Never changed: what is said makes a new one.

    Attributes:
        number: of the object; 0 is what sounds.
        said: what the fuser is told.
        seeds: by index of the frame.
        versions: of this state and those it came from, the newest first; the masks they gave are those on display.
    """

    number: int
    said: Said = NOTHING_SAID
    seeds: Mapping[int, Seed] = field(default_factory=dict)
    versions: tuple[int, ...] = ()

    @property
    def fuses(self) -> bool:
        """Whether the fuser has anything to tell of it."""
        return self.said.hears or self.said.text is not None

    @property
    def empty(self) -> bool:
        """Whether nothing is asked of it."""
        return not (self.seeds or self.fuses)

    def with_seed(self, index: int, seed: Seed | None) -> Track:
        """With another seed on a frame, or with none."""
        seeds = {kept: value for kept, value in self.seeds.items() if kept != index}
        if seed is not None:
            seeds[index] = seed
        return dataclasses.replace(self, seeds=dict(sorted(seeds.items())))
