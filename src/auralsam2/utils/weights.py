"""Read, write and identify `model.safetensors`."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from auralsam2.errors import ConfigError, UnavailableError, quoted
from auralsam2.utils.pretrained import error_reason, refuse_non_finite

if TYPE_CHECKING:
    import torch

CONFIG_FILE = "config.json"


WEIGHTS_FILE = "model.safetensors"


Shapes = Mapping[str, tuple[int, ...]]

_MAX_KEYS = 8
"""Maximum number of keys of each kind in a message."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_WHOLE, _EDGE, _BLOCK, _BLOCKS = 32 * 2**20, 2**20, 4096, 256
"""Bytes: files up to `_WHOLE` are hashed whole; of larger ones both ends and evenly spaced blocks."""


def describe_mismatch(parts: Iterable[tuple[str, Shapes, Shapes]]) -> str:
    """Describe the differences of tensor tables on one line; "" if there are none.

    Args:
        parts: for each part its prefix in messages, the actual and the expected shapes.
    """
    missing, unexpected, wrong = [], [], []
    for prefix, actual, expected in parts:
        missing += [f"{prefix}{name}" for name in expected if name not in actual]
        # Names in a damaged file can have any characters and length.
        extra = [name for name in actual if name not in expected]
        unexpected += [f"{prefix}{name}" if name.isprintable() and len(name) < 200 else quoted(name) for name in extra]
        for name, shape in actual.items():
            if name in expected and shape != expected[name]:
                wrong.append(f"{prefix}{name} {list(shape)} instead of {list(expected[name])}")
    return "; ".join(
        f"{len(names)} {kind}: {', '.join(names[:_MAX_KEYS])}{', …' if len(names) > _MAX_KEYS else ''}"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("wrongly shaped", wrong))
        if names
    )


def save_weights(tensors: Mapping[str, torch.Tensor], folder: Path, *, half: bool = False) -> None:
    """Write `model.safetensors` beside the `config.json` of a folder; integer tensors are unchanged.

    With `half`, floats are written as float16, which halves the file; loading gives float32.

    Raises:
        OSError: the file cannot be written.
        ConfigError: a weight exceeds the range of float16.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    dense: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach()
        if tensor.is_floating_point():
            tensor = tensor.half() if half else tensor.float()
            if half and not tensor.isfinite().all():
                raise ConfigError(f"{name} does not fit into half precision; look for what made it grow in training")
        tensor = tensor.contiguous()
        # safetensors would store the whole base tensor of a view, and refuses memory with two names.
        dense[name] = tensor.clone() if half or tensor.untyped_storage().nbytes() != tensor.nbytes else tensor
    path = folder / WEIGHTS_FILE
    try:
        # A single entry: safetensors writes several in random order, so equal weights would give different files.
        save_file(dense, path, {"format": "pt"})
    except SafetensorError as error:
        raise OSError(str(error)) from error
    # safetensors creates files that only their owner may read.
    path.chmod((folder / CONFIG_FILE).stat().st_mode & 0o777)


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Read `model.safetensors` of a model folder; floats have the precision of the file.

    Raises:
        UnavailableError: the file is damaged or cannot be read.
        ConfigError: a tensor holds NaN or infinity.
    """
    from safetensors.torch import load_file

    path = folder / WEIGHTS_FILE
    try:
        state = load_file(path)
    except Exception as error:  # of safetensors, torch or the system
        raise UnavailableError(
            f"{path}: cannot be read ({error_reason(error)}); fetch, convert or train the model again"
        ) from error
    refuse_non_finite(state.items(), path)
    return state


def file_hash(path: Path) -> str:
    """Return a SHA-256 that identifies the content of a file within a fraction of a second.

    A file of at most 32 MiB is hashed whole. Of a larger file, the hash covers its size, the safetensors header, the
    first and the last MiB, and 256 evenly spaced blocks of 4 KiB: two trainings never agree in these, but a change of
    a few bytes between the blocks goes unnoticed. The result is cached by path, size and modification time.

    Raises:
        OSError: the file cannot be read.
    """
    state = path.stat()
    return _file_hash(path.resolve(), state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=1024)
def _file_hash(path: Path, size: int, _modified: int) -> str:
    with path.open("rb") as file:
        if size <= _MAX_WHOLE:
            return hashlib.file_digest(file, "sha256").hexdigest()
        # A safetensors file starts with the length of its JSON header, 8 bytes, little-endian.
        header = min(int.from_bytes(file.read(8), "little"), _MAX_WHOLE)
        spans = [(0, 8 + header + _EDGE), (size - _EDGE, _EDGE)]
        spans += [(size * number // _BLOCKS, _BLOCK) for number in range(_BLOCKS)]
        digest = hashlib.sha256(str(size).encode())
        for start, length in spans:
            file.seek(start)
            digest.update(file.read(length))
    return digest.hexdigest()


def verify_blob(path: Path) -> str:
    """Return the SHA-256 of a file in the hub's cache; remove a file that differs from the announced one.

    A snapshot's file is a link to a blob, named by the ETag: the SHA-256 of large files, something else (not checked)
    of small ones. Only this first link counts: the blob itself may be a link into a store with names of another kind.

    Raises:
        UnavailableError: the content is not the one announced.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    blob = path.parent / path.readlink() if path.is_symlink() else path
    if _SHA256.fullmatch(blob.name) and blob.name != digest:
        # A later run would accept it: the hub's cache does not look inside its files.
        for damaged in (path.resolve(), blob, path):
            damaged.unlink(missing_ok=True)
        raise UnavailableError(
            f"{path}: damaged in transfer, SHA-256 is {digest} where the hub announced {blob.name}; "
            "it was removed: run again"
        )
    return digest
