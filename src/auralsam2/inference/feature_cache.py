"""LRU cache of tensors by frame: in memory first, then in a temporary file."""

from __future__ import annotations

import sys
import tempfile
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import IO

import numpy as np
import torch

from auralsam2.errors import OutputError
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.types import FeaturePrompts

Tensors = Mapping[str, torch.Tensor]
DEFAULT_LIMIT = 1 << 30
"""Limit of cached data in memory, in bytes: 1 GiB for a video of any length and frame rate."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Shape and memory layout of a tensor in the file.

    The order of dimensions is preserved, because kernels sum in memory order and would round differently.
    """

    shape: torch.Size
    order: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, tensor: torch.Tensor) -> _Layout:
        order = sorted(range(tensor.ndim), key=lambda dim: -tensor.stride(dim))
        return cls(tensor.shape, tuple(order), tensor.dtype, tensor.device)


class TensorSpool:
    """A keyed store of tensors with a limit on memory; a context manager that drops all entries at its end.

    Entries beyond the limit go into one unnamed temporary file, which the system removes when the process ends. The
    file reuses the space of dropped entries.

    Args:
        limit: largest size of the tensors in memory, in bytes.

    Attributes:
        in_memory: size of the tensors in memory, in bytes.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self.in_memory = 0
        self._tensors: dict[Hashable, Tensors] = {}
        self._spilled: dict[Hashable, tuple[int, int, dict[str, _Layout]]] = {}
        self._file: IO[bytes] | None = None
        self._end = 0
        self._free: list[tuple[int, int]] = []

    def __enter__(self) -> TensorSpool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Number of entries."""
        return len(self._tensors) + len(self._spilled)

    def close(self) -> None:
        """Drop all entries."""
        self._tensors.clear()
        self._spilled.clear()
        self._free.clear()
        self.in_memory = self._end = 0
        if self._file is not None:
            self._file.close()
            self._file = None

    def put(self, key: Hashable, tensors: Tensors) -> None:
        """Store an entry, and replace one of the same key.

        Raises:
            OutputError: the limit is reached and the folder for temporary files is full.
        """
        self.drop(key)
        size = sum(tensor.nbytes for tensor in tensors.values())
        if self.in_memory + size <= self.limit:
            self._tensors[key] = {name: _owned(tensor) for name, tensor in tensors.items()}
            self.in_memory += size
            return
        offset = self._space(size)
        try:
            file = self._open()
            file.seek(offset)
            layouts = {name: _Layout.of(tensor) for name, tensor in tensors.items()}
            for name, tensor in tensors.items():
                dense = tensor.detach().cpu().permute(layouts[name].order).contiguous()
                file.write(dense.view(torch.uint8).numpy().tobytes())
        except OSError as error:
            raise OutputError(
                f"{tempfile.gettempdir()}: cannot store encoded frames ({error.strerror}): set TMPDIR to a folder with "
                "space, or use a lower `fps`"
            ) from error
        self._spilled[key] = (offset, size, layouts)

    def get(self, key: Hashable) -> Tensors:
        """Return the tensors of an entry.

        Raises:
            KeyError: there is no such entry.
        """
        if key in self._tensors:
            return self._tensors[key]
        offset, _, layouts = self._spilled[key]
        file = self._open()
        file.seek(offset)
        tensors = {}
        for name, layout in layouts.items():
            count = layout.shape.numel() * layout.dtype.itemsize
            raw = torch.from_numpy(np.frombuffer(bytearray(file.read(count)), np.uint8))
            dense = raw.view(layout.dtype).reshape([layout.shape[dim] for dim in layout.order])
            inverse = [layout.order.index(dim) for dim in range(len(layout.order))]
            tensors[name] = dense.permute(inverse).to(layout.device)
        return tensors

    def drop(self, key: Hashable) -> None:
        """Drop an entry, if it exists."""
        if (tensors := self._tensors.pop(key, None)) is not None:
            self.in_memory -= sum(tensor.nbytes for tensor in tensors.values())
        elif (spilled := self._spilled.pop(key, None)) is not None:
            self._free.append(spilled[:2])

    def _open(self) -> IO[bytes]:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="auralsam2-")  # noqa: SIM115 - closed by `close`
        return self._file

    def _space(self, size: int) -> int:
        """Return the offset of `size` free bytes.

        Only a gap of exactly this size is reused: the entries of a video come in few sizes.
        """
        for position, (offset, length) in enumerate(self._free):
            if length == size:
                del self._free[position]
                return offset
        offset, self._end = self._end, self._end + size
        return offset


def _owned(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor that shares no larger storage, such as that of a batch, which it would keep in memory."""
    return tensor.clone() if tensor.untyped_storage().nbytes() > tensor.nbytes else tensor


Key = tuple[*tuple[Hashable, ...], int]
"""Key of an entry: its kind first, the index of its frame last."""
DISK_LIMIT = 16 << 30
"""Limit of cached data in the temporary file, in bytes: 16 GiB."""


class FeatureCache:
    """A cache of tensors by kind and frame that evicts the least recently used entry.

    Args:
        memory: limit in memory, in bytes.
        disk: additional limit in a temporary file, in bytes; None for no limit.

    Attributes:
        limit: sum of both limits, in bytes.
        size: size of all entries, in bytes.
        evicted: number of evicted entries.
    """

    def __init__(self, memory: int = DEFAULT_LIMIT, disk: int | None = DISK_LIMIT) -> None:
        self.limit = memory + (sys.maxsize if disk is None else disk)
        self.evicted = 0
        self.size = 0
        self._spool = TensorSpool(memory)
        self._sizes: OrderedDict[Key, int] = OrderedDict()
        self._of_frame: dict[int, set[Key]] = {}

    def close(self) -> None:
        """Drop all entries."""
        self._spool.close()
        self._sizes.clear()
        self._of_frame.clear()
        self.size = 0

    def __len__(self) -> int:
        """Number of entries."""
        return len(self._sizes)

    def put(self, key: Key, tensors: Tensors) -> None:
        """Store an entry, and replace one of the same key. An entry larger than the limit is not stored.

        Raises:
            OutputError: the memory limit is reached and the folder for temporary files is full.
        """
        self._drop(key)
        size = sum(tensor.nbytes for tensor in tensors.values())
        while self._sizes and self.size + size > self.limit:
            self._drop(next(iter(self._sizes)))
            self.evicted += 1
        if size <= self.limit:
            self._spool.put(key, tensors)
            self._sizes[key] = size
            self._of_frame.setdefault(key[-1], set()).add(key)
            self.size += size

    def get(self, key: Key) -> Tensors | None:
        """Return the tensors of an entry; None if it was never stored, or evicted."""
        if key not in self._sizes:
            return None
        self._sizes.move_to_end(key)
        return self._spool.get(key)

    def forget(self, frames: Iterable[int], *kinds: str) -> None:
        """Drop the entries of some frames: those of the given kinds, or all."""
        for index in frames:
            for key in [key for key in self._of_frame.get(index, ()) if not kinds or key[0] in kinds]:
                self._drop(key)

    def _drop(self, key: Key) -> None:
        if key in self._sizes:
            self.size -= self._sizes.pop(key)
            self._spool.drop(key)
            keys = self._of_frame[key[-1]]
            keys.remove(key)
            if not keys:
                del self._of_frame[key[-1]]


LEVELS = range(3)


def pack_features(features: FrameFeatures) -> dict[str, torch.Tensor]:
    """Return the tensors of the features of one frame by name."""
    tensors = {"embedding": features.embedding, "fine": features.fine, "middle": features.middle}
    return tensors | {f"patch{level}": patch for level, patch in enumerate(features.patches)}


def unpack_features(tensors: Tensors) -> FrameFeatures:
    """Return the features of one frame; inverse of `pack_features`."""
    patches = tuple(tensors[f"patch{level}"] for level in LEVELS if f"patch{level}" in tensors)
    return FrameFeatures(tensors["embedding"], tensors["fine"], tensors["middle"], patches)


def pack_prompts(prompts: FeaturePrompts) -> dict[str, torch.Tensor]:
    """Return the tensors of the feature prompts of one frame by name."""
    visual = {f"visual{level}": prompt for level, prompt in enumerate(prompts.visual_prompts)}
    audio = {f"audio{level}": prompt for level, prompt in enumerate(prompts.audio_prompts)}
    single = {"coarse_mask": prompts.coarse_mask, "object_score_cap": prompts.object_score_cap}
    return visual | audio | {name: tensor for name, tensor in single.items() if tensor is not None}


def unpack_prompts(tensors: Tensors) -> FeaturePrompts:
    """Return the feature prompts of one frame; inverse of `pack_prompts`."""
    levels = [level for level in LEVELS if f"visual{level}" in tensors]
    return FeaturePrompts(
        tuple(tensors[f"visual{level}"] for level in levels),
        tuple(tensors[f"audio{level}"] for level in levels),
        tensors.get("coarse_mask"),
        object_score_cap=tensors.get("object_score_cap"),
    )
