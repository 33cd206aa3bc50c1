"""What the frozen image encoder makes of a clip, kept on disk.

The pyramid depends on the pictures alone, so a cache serves where nothing changes them but a flip, which has an entry
of its own. Entries are whole or absent; a folder may be shared by runs and processes, and removed at any time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from auralsam2.network import AuralNetwork

_log = logging.getLogger(__name__)

SUFFIX = ".safetensors"
Maps = tuple[torch.Tensor, ...]


class FeatureCache:
    """Pyramids of clips by their pictures.

    What is in it stays: clips come in random order, so replacing some by others would gain nothing. When it is full,
    further clips are encoded each time.

    Args:
        folder: made where missing.
        owner: tells apart encoders, sizes and precisions; see `encoder_identity`.
        limit: most bytes of all entries in the folder.
    """

    def __init__(self, folder: Path, owner: str, limit: int) -> None:
        self.folder, self.owner, self.limit = folder, owner, limit
        folder.mkdir(parents=True, exist_ok=True)
        self.full = False

    def key(self, frames: Sequence[Path], flip: bool) -> str:
        """The entry of these files as they are now.

        Args:
            frames: T picture files.
            flip: the pictures are mirrored.

        Raises:
            OSError: a file is not there.
        """
        digest = hashlib.sha256(f"{self.owner} {flip}".encode())
        for path in frames:
            state = path.stat()
            digest.update(f"\n{path.resolve()} {state.st_size} {state.st_mtime_ns}".encode())
        return digest.hexdigest()[:40]

    def get(self, key: str) -> Maps | None:
        """The three maps of an entry; None where there is none. A damaged entry is removed."""
        path = self.folder / f"{key}{SUFFIX}"
        try:
            entry = load_file(path)
            return tuple(entry[str(level)] for level in range(3))
        except FileNotFoundError:
            return None
        except (SafetensorError, KeyError) as error:
            _log.warning("%s: damaged (%s), is made again", path, error)
            path.unlink(missing_ok=True)
            return None

    def put(self, key: str, maps: Maps) -> None:
        """Keep the three maps (T, C, 4h, 4w), (T, C, 2h, 2w), (T, C, h, w), unless the cache is full.

        Raises:
            OSError: the folder cannot be written.
        """
        path = self.folder / f"{key}{SUFFIX}"
        if self.full or path.exists():
            return
        if self.nbytes + sum(level.nbytes for level in maps) > self.limit:
            self.full = True
            _log.warning("%s: full at %.1f GB; other clips are encoded each time", self.folder, self.limit / 1e9)
            return
        handle, beside = tempfile.mkstemp(suffix=".part", dir=self.folder)
        os.close(handle)
        try:
            save_file({str(level): value.detach().cpu().contiguous() for level, value in enumerate(maps)}, beside)
            Path(beside).replace(path)
        finally:
            Path(beside).unlink(missing_ok=True)

    @property
    def nbytes(self) -> int:
        """Bytes in the folder, those of other runs and of killed ones too."""
        with os.scandir(self.folder) as entries:
            return sum(entry.stat().st_size for entry in entries if entry.name.endswith((SUFFIX, ".part")))


def encoder_identity(network: AuralNetwork, precision: str) -> str:
    """A hash of all that a pyramid depends on beside the pictures: weights, size, precision."""
    digest = hashlib.sha256(f"{network.image_size} {precision}".encode())
    for name, value in sorted(network.sam2.vision_encoder.state_dict().items()):
        digest.update(f"\n{name} {tuple(value.shape)} ".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
