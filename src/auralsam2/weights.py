"""Tables of tensors on their way to and from `model.safetensors`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from auralsam2.config import CONFIG_FILE, WEIGHTS_FILE
from auralsam2.errors import ConfigError

if TYPE_CHECKING:
    import torch

Shapes = Mapping[str, tuple[int, ...]]

_SHOWN = 8
"""How many keys of each kind a message lists."""


def misfit(parts: Iterable[tuple[str, Shapes, Shapes]]) -> str:
    """What is wrong with a table of tensors, on one line; "" if nothing is.

    Args:
        parts: for each part its prefix in messages, the shapes found, the shapes expected.
    """
    missing, unexpected, wrong = [], [], []
    for prefix, found, expected in parts:
        missing += [f"{prefix}{name}" for name in expected if name not in found]
        unexpected += [f"{prefix}{name}" for name in found if name not in expected]
        for name, shape in found.items():
            if name in expected and shape != expected[name]:
                wrong.append(f"{prefix}{name} {list(shape)} instead of {list(expected[name])}")
    return "; ".join(
        f"{len(names)} {kind}: {', '.join(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''}"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("wrongly shaped", wrong))
        if names
    )


def save_weights(tensors: Mapping[str, torch.Tensor], folder: Path, *, half: bool = False) -> None:
    """Write `model.safetensors` beside the `config.json` of a folder (counters as they are).

    Args:
        tensors: by name.
        folder: has a `config.json` already.
        half: as float16 instead of float32: half the size on disk. Whoever loads it gets float32.

    Raises:
        OSError: the file cannot be written.
        ConfigError: a weight does not fit into half precision.
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
        # A view would drag the whole tensor it was cut from along, and one piece of memory may have one name only.
        dense[name] = tensor.clone() if half or tensor.untyped_storage().nbytes() != tensor.nbytes else tensor
    path = folder / WEIGHTS_FILE
    try:
        # One entry: of several, safetensors would write a random order, and equal weights would make unequal files.
        save_file(dense, path, {"format": "pt"})
    except SafetensorError as error:
        raise OSError(str(error)) from error
    # safetensors makes files for their owner's eyes only; a model may be shared.
    path.chmod((folder / CONFIG_FILE).stat().st_mode & 0o777)
