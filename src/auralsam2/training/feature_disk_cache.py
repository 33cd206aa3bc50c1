"""Disk cache of the frozen image encoder's output.

Feature maps depend on the images alone, so the cache is usable if augmentation only flips them; flipped images have
entries of their own. Entries are complete or absent. Runs and processes may share a folder, and it can be deleted
at any time.
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

_log = logging.getLogger(__name__)

SUFFIX = ".safetensors"
RECOUNT = 64
"""Number of new entries after which the folder is measured again, as other processes write too."""
Maps = tuple[torch.Tensor, ...]


class FeatureDiskCache:
    """Feature maps of images.

    Entries are never replaced: clips come in random order, so replacement would not help. When the cache is full,
    further images are encoded each time.

    Args:
        folder: created if missing.
        owner: identifies encoder, size and precision; see `image_encoder.encoder_hash`.
        limit: maximum size of all entries in bytes.
        half: store float16; results then differ by rounding from those without a cache.
    """

    def __init__(self, folder: Path, owner: str, limit: int, *, half: bool = False) -> None:
        self.folder, self.owner, self.limit, self.half = folder, owner, limit, half
        folder.mkdir(parents=True, exist_ok=True)
        self.full = False
        self._counted, self._puts = 0, 0

    def keys(self, frames: Sequence[Path], flip: bool) -> tuple[str, ...]:
        """Return the keys of image files in their current state.

        Args:
            frames: T image files.
            flip: the images are flipped.

        Raises:
            OSError: a file is missing.
        """
        return tuple(self._key(path, flip) for path in frames)

    def get(self, keys: Sequence[str]) -> Maps | None:
        """Read the three maps of a clip, float32; None if an image is missing. Damaged entries are removed."""
        entries: list[Maps] = []
        for key in keys:
            path = self.folder / f"{key}{SUFFIX}"
            try:
                entry = load_file(path)
                entries.append(tuple(entry[str(level)] for level in range(3)))
            except FileNotFoundError:
                return None
            except (SafetensorError, KeyError) as error:
                _log.warning("%s: damaged (%s), computed again", path, error)
                path.unlink(missing_ok=True)
                return None
        return tuple(torch.stack(level).float() for level in zip(*entries, strict=True))

    def put(self, keys: Sequence[str], maps: Maps) -> None:
        """Write the three maps (T, C, 4h, 4w), (T, C, 2h, 2w), (T, C, h, w) of T images, unless the cache is full.

        Raises:
            OSError: the folder cannot be written.
        """
        for key, *levels in zip(keys, *maps, strict=True):
            self._put_one(key, {str(level): self._stored(value) for level, value in enumerate(levels)})

    @property
    def nbytes(self) -> int:
        """Size of the folder in bytes, with files of other and killed runs."""
        total = 0
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith((SUFFIX, ".part")):
                    with contextlib.suppress(FileNotFoundError):  # renamed by another process
                        total += entry.stat().st_size
        return total

    def _key(self, path: Path, flip: bool) -> str:
        state = path.stat()
        identity = f"{self.owner} {self.half} {flip}\n{path.resolve()} {state.st_size} {state.st_mtime_ns}"
        return hashlib.sha256(identity.encode()).hexdigest()[:40]

    def _stored(self, level: torch.Tensor) -> torch.Tensor:
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
            _log.warning("%s: full at %.1f GB; other images are encoded each time", self.folder, self.limit / 1e9)
            return
        handle, part = tempfile.mkstemp(suffix=".part", dir=self.folder)
        os.close(handle)
        try:
            save_file(entry, part)
            Path(part).replace(path)
        finally:
            Path(part).unlink(missing_ok=True)
        self._puts += 1
        self._counted += path.stat().st_size
