"""What the frozen image encoder makes of a clip, kept on disk.

The pyramid depends on the pictures alone, so a cache serves where nothing changes them but a flip, which has an entry
of its own. Entries are whole or absent; a folder may be shared by runs and processes, and removed at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from auralsam2.modeling.network import AudioVisualNetwork

_log = logging.getLogger(__name__)

SUFFIX = ".safetensors"
RECOUNT = 64
"""Entries after which the folder is counted anew: other processes write into it too."""
Maps = tuple[torch.Tensor, ...]


class FeatureDiskCache:
    """Pyramids of pictures.

    What is in it stays: clips come in random order, so replacing some by others would gain nothing. When it is full,
    further pictures are encoded each time.

    Args:
        folder: made where missing.
        owner: tells apart encoders, sizes and precisions; see `encoder_identity`.
        limit: most bytes of all entries in the folder.
        half: keep float16, half the room; a run with the cache then differs from one without by rounding.
    """

    def __init__(self, folder: Path, owner: str, limit: int, *, half: bool = False) -> None:
        self.folder, self.owner, self.limit, self.half = folder, owner, limit, half
        folder.mkdir(parents=True, exist_ok=True)
        self.full = False
        self._counted, self._puts = 0, 0

    def keys(self, frames: Sequence[Path], flip: bool) -> tuple[str, ...]:
        """The entries of these files as they are now.

        Args:
            frames: T picture files.
            flip: the pictures are mirrored.

        Raises:
            OSError: a file is not there.
        """
        return tuple(self._key(path, flip) for path in frames)

    def get(self, keys: Sequence[str]) -> Maps | None:
        """The three maps of a clip, float32; None where a picture is not there. Damaged entries are removed."""
        found: list[Maps] = []
        for key in keys:
            path = self.folder / f"{key}{SUFFIX}"
            try:
                entry = load_file(path)
                found.append(tuple(entry[str(level)] for level in range(3)))
            except FileNotFoundError:
                return None
            except (SafetensorError, KeyError) as error:
                _log.warning("%s: damaged (%s), is made again", path, error)
                path.unlink(missing_ok=True)
                return None
        return tuple(torch.stack(level).float() for level in zip(*found, strict=True))

    def put(self, keys: Sequence[str], maps: Maps) -> None:
        """Keep the three maps (T, C, 4h, 4w), (T, C, 2h, 2w), (T, C, h, w) of T pictures, unless the cache is full.

        Raises:
            OSError: the folder cannot be written.
        """
        for key, *levels in zip(keys, *maps, strict=True):
            self._put_one(key, {str(level): self._kept(value) for level, value in enumerate(levels)})

    @property
    def nbytes(self) -> int:
        """Bytes in the folder, those of other runs and of killed ones too."""
        total = 0
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith((SUFFIX, ".part")):
                    with contextlib.suppress(FileNotFoundError):  # another process has renamed it meanwhile
                        total += entry.stat().st_size
        return total

    def _key(self, path: Path, flip: bool) -> str:
        state = path.stat()
        told = f"{self.owner} {self.half} {flip}\n{path.resolve()} {state.st_size} {state.st_mtime_ns}"
        return hashlib.sha256(told.encode()).hexdigest()[:40]

    def _kept(self, level: torch.Tensor) -> torch.Tensor:
        level = level.detach().cpu()
        return (level.half() if self.half else level).contiguous()

    def _put_one(self, key: str, entry: dict[str, torch.Tensor]) -> None:
        path = self.folder / f"{key}{SUFFIX}"
        if self.full or path.exists():
            return
        size = sum(level.nbytes for level in entry.values())
        if self._puts % RECOUNT == 0:
            self._counted = self.nbytes
        if self._counted + size > self.limit:
            self.full = True
            _log.warning("%s: full at %.1f GB; other pictures are encoded each time", self.folder, self.limit / 1e9)
            return
        handle, beside = tempfile.mkstemp(suffix=".part", dir=self.folder)
        os.close(handle)
        try:
            save_file(entry, beside)
            Path(beside).replace(path)
        finally:
            Path(beside).unlink(missing_ok=True)
        self._puts += 1
        self._counted += path.stat().st_size


def encoder_identity(network: AudioVisualNetwork, precision: str) -> str:
    """A hash of all that a pyramid depends on beside the pictures: weights, size, precision."""
    digest = hashlib.sha256(f"{network.image_size} {precision}".encode())
    for name, value in sorted(network.sam2.vision_encoder.state_dict().items()):
        digest.update(f"\n{name} {tuple(value.shape)} ".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
