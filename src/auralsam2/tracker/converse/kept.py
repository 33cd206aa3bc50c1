"""What was computed of the frames, kept for the next question: in memory, then on disk, and the oldest not at all."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable

from auralsam2.tracker.spool import DEFAULT_LIMIT, Spool, Tensors

Key = tuple[*tuple[Hashable, ...], int]
"""Of an entry: its kind first, and the index of the frame it is of last."""
DISK_LIMIT = 16 << 30
"""Bytes of temporary file: 16 GiB."""


class Kept:
    """A keyed store with a bound: what was used longest ago gives way, and can be computed again.

    Args:
        memory: bytes to keep in memory.
        disk: bytes to keep in a temporary file beside.

    Attributes:
        dropped: entries that gave way so far.
    """

    def __init__(self, memory: int = DEFAULT_LIMIT, disk: int = DISK_LIMIT) -> None:
        self.limit = memory + disk
        self.dropped = 0
        self.size = 0
        self._spool = Spool(memory)
        self._sizes: OrderedDict[Key, int] = OrderedDict()
        self._of_frame: dict[int, set[Key]] = {}

    def close(self) -> None:
        """Drop everything."""
        self._spool.close()
        self._sizes.clear()
        self._of_frame.clear()
        self.size = 0

    def __len__(self) -> int:
        """Entries held."""
        return len(self._sizes)

    def put(self, key: Key, tensors: Tensors) -> None:
        """Keep an entry, in place of one of the same key; one that is larger than the bound is not kept.

        Raises:
            OutputError: memory is used up and the folder for temporary files is full.
        """
        self._drop(key)
        size = sum(tensor.nbytes for tensor in tensors.values())
        while self._sizes and self.size + size > self.limit:
            self._drop(next(iter(self._sizes)))
            self.dropped += 1
        if size <= self.limit:
            self._spool.put(key, tensors)
            self._sizes[key] = size
            self._of_frame.setdefault(key[-1], set()).add(key)
            self.size += size

    def get(self, key: Key) -> Tensors | None:
        """The tensors of an entry; None where there is none, or no more."""
        if key not in self._sizes:
            return None
        self._sizes.move_to_end(key)
        return self._spool.get(key)

    def forget(self, frames: Iterable[int], *kinds: str) -> None:
        """Drop the entries of some frames; those of some kinds, or all."""
        for index in frames:
            for key in [key for key in self._of_frame.get(index, ()) if not kinds or key[0] in kinds]:
                self._drop(key)

    def _drop(self, key: Key) -> None:
        if key in self._sizes:
            self.size -= self._sizes.pop(key)
            self._spool.drop(key)
            left = self._of_frame[key[-1]]
            left.remove(key)
            if not left:
                del self._of_frame[key[-1]]
