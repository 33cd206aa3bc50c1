"""The spool: keeps the tensors of encoded frames until their masks are found, in memory or, beyond a limit, on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import IO

import numpy as np
import torch

from auralsam2.errors import OutputError

Tensors = Mapping[str, torch.Tensor]
DEFAULT_LIMIT = 1 << 30
"""Bytes of memory: 1 GiB, the bound on what the frames of a video take beside the model at any length and rate."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a tensor lies in the file. The order of its dimensions is kept: with another one, sums round otherwise."""

    shape: torch.Size
    order: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, tensor: torch.Tensor) -> _Layout:
        order = sorted(range(tensor.ndim), key=lambda dim: -tensor.stride(dim))
        return cls(tensor.shape, tuple(order), tensor.dtype, tensor.device)


class Spool:
    """A keyed store of tensors with a bound on memory.

    What is put beyond the bound goes into one unnamed temporary file, which the system removes however the process
    ends. Space of dropped entries is used again. The owner drops what it needs no more; entries left at the end of the
    `with` block are dropped then.

    Args:
        limit: bytes of tensors to keep in memory.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self.in_memory = 0
        self._kept: dict[Hashable, Tensors] = {}
        self._spilled: dict[Hashable, tuple[int, int, dict[str, _Layout]]] = {}
        self._file: IO[bytes] | None = None
        self._end = 0
        self._free: list[tuple[int, int]] = []

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """Entries held."""
        return len(self._kept) + len(self._spilled)

    def close(self) -> None:
        """Drop everything."""
        self._kept.clear()
        self._spilled.clear()
        self._free.clear()
        self.in_memory = self._end = 0
        if self._file is not None:
            self._file.close()
            self._file = None

    def put(self, key: Hashable, tensors: Tensors) -> None:
        """Keep an entry until it is dropped; an entry of the same key is replaced.

        Raises:
            OutputError: memory is used up and the folder for temporary files is full.
        """
        self.drop(key)
        size = sum(tensor.nbytes for tensor in tensors.values())
        if self.in_memory + size <= self.limit:
            self._kept[key] = dict(tensors)
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
                f"{tempfile.gettempdir()}: cannot keep encoded frames ({error.strerror}): point TMPDIR to a folder "
                "with space, or take a lower --fps"
            ) from error
        self._spilled[key] = (offset, size, layouts)

    def get(self, key: Hashable) -> Tensors:
        """The tensors of an entry.

        Raises:
            KeyError: there is none.
        """
        if key in self._kept:
            return self._kept[key]
        offset, _, layouts = self._spilled[key]
        file = self._open()
        file.seek(offset)
        tensors = {}
        for name, layout in layouts.items():
            count = layout.shape.numel() * layout.dtype.itemsize
            raw = torch.from_numpy(np.frombuffer(bytearray(file.read(count)), np.uint8))
            dense = raw.view(layout.dtype).reshape([layout.shape[dim] for dim in layout.order])
            back = [layout.order.index(dim) for dim in range(len(layout.order))]
            tensors[name] = dense.permute(back).to(layout.device)
        return tensors

    def drop(self, key: Hashable) -> None:
        """Forget an entry, if it is there."""
        if (kept := self._kept.pop(key, None)) is not None:
            self.in_memory -= sum(tensor.nbytes for tensor in kept.values())
        elif (spilled := self._spilled.pop(key, None)) is not None:
            self._free.append(spilled[:2])

    def _open(self) -> IO[bytes]:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="auralsam2-")  # noqa: SIM115 - lives as long as the spool
        return self._file

    def _space(self, size: int) -> int:
        """Offset of `size` free bytes: entries of a stream come in few sizes, so equal ones take each other's place."""
        for place, (offset, length) in enumerate(self._free):
            if length == size:
                del self._free[place]
                return offset
        offset, self._end = self._end, self._end + size
        return offset
