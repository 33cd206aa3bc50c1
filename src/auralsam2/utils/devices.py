"""Devices and precisions, by the names of this package and by those of torch."""

from __future__ import annotations

import torch

from auralsam2.errors import UsageError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_SYNONYMS = {"float32": "fp32", "float": "fp32", "bfloat16": "bf16", "float16": "fp16", "half": "fp16"}


def pick_device(device: str | int | torch.device) -> torch.device:
    """Return the requested device.

    Args:
        device: `auto` for an accelerator if there is one, `cpu`, `cuda`, `cuda:N`, `mps`, a `torch.device`, or a GPU's
            number.

    Raises:
        UsageError: there is no such device.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    available = {"cpu": 1, "cuda": gpus, "mps": int(torch.backends.mps.is_available())}
    names = ", ".join(
        kind if count == 1 else f"{kind}:0 to {kind}:{count - 1}" for kind, count in available.items() if count
    )
    name = f"cuda:{device}" if isinstance(device, int) and not isinstance(device, bool) else str(device)
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if available[kind])
    try:
        selected = torch.device(name)
    except RuntimeError:
        selected = None
    # torch wraps numbers beyond 127: cuda:256 would be cuda:0.
    if selected is None or str(selected) != name or (selected.index or 0) >= available.get(selected.type, 0):
        raise UsageError(f"`device={' '.join(name.split())}` is not available here; available: {names}")
    return selected


def pick_dtype(dtype: str | torch.dtype, device: torch.device) -> str:
    """Return the requested precision: fp32, bf16 or fp16.

    Args:
        dtype: `auto` for fp32 on a CPU and bf16 elsewhere, one of these three, or torch's name or type for one of them.
        device: device of the network.

    Raises:
        UsageError: another precision, or one that the device does not support.
    """
    name = str(dtype).removeprefix("torch.")
    name = _SYNONYMS.get(name, name)
    if name == "auto":
        return "fp32" if device.type == "cpu" else "bf16"
    if name not in DTYPES:
        raise UsageError(f"`dtype={' '.join(name.split())}`: choose from auto, {', '.join(DTYPES)}")
    if name == "fp16" and device.type == "cpu":
        raise UsageError("`dtype=fp16` needs an accelerator; on a CPU take bf16 or fp32")
    return name
