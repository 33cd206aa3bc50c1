"""Tables of tensors on their way to and from `model.safetensors`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from auralsam2.config import CONFIG_FILE, WEIGHTS_FILE
from auralsam2.version import __version__

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


def save_weights(tensors: Mapping[str, torch.Tensor], folder: Path) -> None:
    """Write `model.safetensors` beside the `config.json` of a folder, as float32 (counters as they are).

    Raises:
        OSError: the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    dense: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach()
        tensor = (tensor.float() if tensor.is_floating_point() else tensor).contiguous()
        # A view would drag the whole tensor it was cut from along.
        dense[name] = tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()
    path = folder / WEIGHTS_FILE
    try:
        save_file(dense, path, {"format": "pt", "auralsam2": __version__})
    except SafetensorError as error:
        raise OSError(str(error)) from error
    # safetensors makes files for their owner's eyes only; a model may be shared.
    path.chmod((folder / CONFIG_FILE).stat().st_mode & 0o777)
