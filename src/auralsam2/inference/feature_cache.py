"""What was computed of the frames, kept for the next question: in memory, then on disk, and the oldest not at all."""

from __future__ import annotations

import tempfile
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import IO

import numpy as np
import torch

from auralsam2.errors import OutputError
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.types import FeaturePrompts, Frame

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


class TensorSpool:
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

    def __enter__(self) -> TensorSpool:
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
                "with space, or use a lower `fps`"
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


Key = tuple[*tuple[Hashable, ...], int]
"""Of an entry: its kind first, and the index of the frame it is of last."""
DISK_LIMIT = 16 << 30
"""Bytes of temporary file: 16 GiB."""


class FeatureCache:
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
        self._spool = TensorSpool(memory)
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


LEVELS = range(3)


class StreamCache:
    """Features, feature prompts and pictures by frame index; a context manager that drops everything at its end.

    Args:
        limit: bytes to keep in memory; what goes beyond lies in a temporary file.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._spool = TensorSpool(limit)
        self._times: dict[int, float] = {}
        # A picture is known by its presentation time: different pictures of a video have different ones.
        self._shown: Counter[float] = Counter()  # number of frames that show it
        self._pictures: set[float] = set()

    def __enter__(self) -> StreamCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()

    def __len__(self) -> int:
        """Frames held."""
        return len(self._times)

    def add(self, frame: Frame, features: FrameFeatures | None) -> None:
        """Keep an encoded frame.

        Args:
            frame: in the order of time.
            features: of its picture; None where the frame before shows the same picture, whose features serve both.
        """
        time = frame.time
        if features is not None:
            self._spool.put(("features", time), pack_features(features))
        if time not in self._pictures:
            self._spool.put(("picture", time), {"image": torch.from_numpy(frame.image)})
            self._pictures.add(time)
        self._times[frame.index] = time
        self._shown[time] += 1

    def add_prompts(self, index: int, prompts: FeaturePrompts) -> None:
        """Keep the feature prompts of one frame (T = 1)."""
        self._spool.put(("prompts", index), pack_prompts(prompts))

    def time(self, index: int) -> float:
        """Presentation time of a frame, in seconds."""
        return self._times[index]

    def features(self, index: int) -> FrameFeatures:
        """Features of a frame."""
        return unpack_features(self._spool.get(("features", self._times[index])))

    def take_prompts(self, index: int) -> FeaturePrompts:
        """Feature prompts of a frame; drops them."""
        tensors = self._spool.get(("prompts", index))
        self._spool.drop(("prompts", index))
        return unpack_prompts(tensors)

    def take_picture(self, index: int) -> np.ndarray:
        """Picture of a frame, (H, W, 3) uint8; drops it unless the next frame shows it too."""
        time = self._times[index]
        image = self._spool.get(("picture", time))["image"].numpy()
        if self._times.get(index + 1) != time:
            self._drop_picture(time)
        return image

    def forget_before(self, index: int) -> None:
        """Drop all frames of lower index; a picture stays while a frame that shows it is held."""
        for old in [kept for kept in self._times if kept < index]:
            self._spool.drop(("prompts", old))
            time = self._times.pop(old)
            self._shown[time] -= 1
            if not self._shown[time]:
                del self._shown[time]
                self._spool.drop(("features", time))
                self._drop_picture(time)

    def _drop_picture(self, time: float) -> None:
        self._spool.drop(("picture", time))
        self._pictures.discard(time)


def pack_features(features: FrameFeatures) -> dict[str, torch.Tensor]:
    """The features of a frame by name, as a spool keeps them."""
    tensors = {"embedding": features.embedding, "fine": features.fine, "middle": features.middle}
    return tensors | {f"patch{level}": patch for level, patch in enumerate(features.patches)}


def unpack_features(tensors: Tensors) -> FrameFeatures:
    """The inverse of `pack_features`."""
    patches = tuple(tensors[f"patch{level}"] for level in LEVELS if f"patch{level}" in tensors)
    return FrameFeatures(tensors["embedding"], tensors["fine"], tensors["middle"], patches)


def pack_prompts(prompts: FeaturePrompts) -> dict[str, torch.Tensor]:
    """The feature prompts of a frame by name, as a spool keeps them."""
    visual = {f"visual{level}": prompt for level, prompt in enumerate(prompts.visual_prompts)}
    audio = {f"audio{level}": prompt for level, prompt in enumerate(prompts.audio_prompts)}
    single = {"coarse_mask": prompts.coarse_mask, "object_score_cap": prompts.object_score_cap}
    return visual | audio | {name: tensor for name, tensor in single.items() if tensor is not None}


def unpack_prompts(tensors: Tensors) -> FeaturePrompts:
    """The inverse of `pack_prompts`."""
    levels = [level for level in LEVELS if f"visual{level}" in tensors]
    return FeaturePrompts(
        tuple(tensors[f"visual{level}"] for level in levels),
        tuple(tensors[f"audio{level}"] for level in levels),
        tensors.get("coarse_mask"),
        object_score_cap=tensors.get("object_score_cap"),
    )
