"""Memory bank of one object: the frames that later frames attend to."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from auralsam2.modeling.memory import CONDITIONING


@dataclass(frozen=True, slots=True)
class MemoryEntry:
    """Memory of one frame.

    Attributes:
        memory: spatial memory, (1, 64, h, w).
        pointer: object pointer, (1, C).
    """

    memory: torch.Tensor
    pointer: torch.Tensor


class MemoryBank:
    """All conditioning frames, and other frames as long as a later frame can attend to them.

    Args:
        slots: number of memories that a frame attends to, the conditioning one included (SAM 2: 7).
        pointers: number of pointers that a frame attends to, the conditioning one included (SAM 2: 16).
    """

    def __init__(self, slots: int, pointers: int) -> None:
        self.slots = slots
        self.max_pointers = pointers
        self._conditioning: dict[int, MemoryEntry] = {}
        self._others: dict[int, MemoryEntry] = {}

    def __len__(self) -> int:
        """Number of entries."""
        return len(self._conditioning) + len(self._others)

    @property
    def empty(self) -> bool:
        """True without a conditioning frame."""
        return not self._conditioning

    def add(self, t: int, entry: MemoryEntry, *, conditioning: bool) -> None:
        """Add frame t, and drop the frames that no later frame attends to."""
        if conditioning:
            self._conditioning[t] = entry
            return
        self._others[t] = entry
        reach = max(self.slots, self.max_pointers) - 1
        for old in [frame for frame in self._others if frame <= t - reach]:
            del self._others[old]

    def memories(self, t: int) -> list[tuple[int, torch.Tensor]]:
        """Return (distance, memory) for frame t: conditioning frames, then t - 6 … t - 1 as far as they exist."""
        pairs = [(CONDITIONING, entry.memory) for entry in self._conditioning.values()]
        for distance in range(self.slots - 1, 0, -1):
            if (entry := self._others.get(t - distance)) is not None:
                pairs.append((distance, entry.memory))
        return pairs

    def pointers(self, t: int, reach: int) -> list[tuple[int, torch.Tensor]]:
        """Return (distance, pointer) for frame t: conditioning frames up to t, then t - 1, t - 2, … t - reach."""
        pairs = [(t - frame, entry.pointer) for frame, entry in self._conditioning.items() if frame <= t]
        for distance in range(1, reach + 1):
            if (entry := self._others.get(t - distance)) is not None:
                pairs.append((distance, entry.pointer))
        return pairs
