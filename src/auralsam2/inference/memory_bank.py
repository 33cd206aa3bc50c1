"""The memory bank: what the tracker keeps of past frames, and which of it a frame attends to."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from auralsam2.modeling.memory import CONDITIONING


@dataclass(frozen=True, slots=True)
class MemoryEntry:
    """What is kept of one frame.

    Attributes:
        memory: (1, 64, h, w).
        pointer: (1, C).
    """

    memory: torch.Tensor
    pointer: torch.Tensor


class MemoryBank:
    """Conditioning frames for ever, others as long as a later frame can attend to them.

    Args:
        slots: memories a frame attends to, the conditioning one included (SAM 2: 7).
        pointers: pointers a frame attends to, the conditioning one included (SAM 2: 16).
    """

    def __init__(self, slots: int, pointers: int) -> None:
        self.slots = slots
        self.most_pointers = pointers
        self._conditioning: dict[int, MemoryEntry] = {}
        self._others: dict[int, MemoryEntry] = {}

    def __len__(self) -> int:
        """Frames remembered."""
        return len(self._conditioning) + len(self._others)

    @property
    def empty(self) -> bool:
        """Whether there is no conditioning frame yet."""
        return not self._conditioning

    def add(self, t: int, remembered: MemoryEntry, *, conditioning: bool) -> None:
        """Remember frame t; forget what no later frame can reach."""
        if conditioning:
            self._conditioning[t] = remembered
            return
        self._others[t] = remembered
        reach = max(self.slots, self.most_pointers) - 1
        for old in [frame for frame in self._others if frame <= t - reach]:
            del self._others[old]

    def memories(self, t: int) -> list[tuple[int, torch.Tensor]]:
        """(distance, memory) for frame t: conditioning frames, then t - 6 … t - 1 as far as they exist."""
        found = [(CONDITIONING, kept.memory) for kept in self._conditioning.values()]
        for distance in range(self.slots - 1, 0, -1):
            if (kept := self._others.get(t - distance)) is not None:
                found.append((distance, kept.memory))
        return found

    def pointers(self, t: int, reach: int) -> list[tuple[int, torch.Tensor]]:
        """(distance, pointer) for frame t: conditioning frames not in its future, then t - 1, t - 2, … t - reach."""
        found = [(t - frame, kept.pointer) for frame, kept in self._conditioning.items() if frame <= t]
        for distance in range(1, reach + 1):
            if (kept := self._others.get(t - distance)) is not None:
                found.append((distance, kept.pointer))
        return found
