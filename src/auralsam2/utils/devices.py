"""Devices and precisions, by the names of this package and by those of torch."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from auralsam2.errors import UsageError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Backend = Literal["torch", "openvino"]
LARGE = 512
"""Smallest image size, in pixels, that is computed in bf16 on a CPU with `dtype=auto`."""
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


def pick_dtype(dtype: str | torch.dtype, device: torch.device, image_size: int = LARGE) -> str:
    """Return the requested precision: fp32, bf16 or fp16.

    Args:
        dtype: `auto` for bf16 on devices that compute in it, and fp32 on others; one of these three, or torch's name or
            type for one of them. On a CPU, `auto` is fp32 for images smaller than `LARGE`: bf16 saves them little time.
        device: device of the network.
        image_size: S of the network, in pixels.

    Raises:
        UsageError: another precision, or one that the device does not support.
    """
    name = str(dtype).removeprefix("torch.")
    name = _SYNONYMS.get(name, name)
    if name == "auto":
        return "bf16" if computes_bf16(device) and (device.type != "cpu" or image_size >= LARGE) else "fp32"
    if name not in DTYPES:
        raise UsageError(f"`dtype={' '.join(name.split())}`: choose from auto, {', '.join(DTYPES)}")
    if name == "fp16" and device.type == "cpu":
        raise UsageError("`dtype=fp16` needs an accelerator; on a CPU take bf16 or fp32")
    return name


def computes_bf16(device: torch.device) -> bool:
    """Return whether a device multiplies matrices in bfloat16 natively: AVX-512-BF16, AMX, Arm's BF16, or a GPU."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return True
    features = torch.cpu.get_capabilities()
    return any(features.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def check_backend(backend: str, device: torch.device) -> None:
    """Check the name of a backend, and that the device has it.

    Raises:
        UsageError: it is not torch or openvino, or openvino is requested for another device than the CPU.
    """
    if backend not in get_args(Backend):
        raise UsageError(f"`backend={' '.join(str(backend).split())}`: choose from {', '.join(get_args(Backend))}")
    if backend == "openvino" and device.type != "cpu":
        raise UsageError(f"`backend=openvino` computes on the CPU, not on {device}; use `backend=torch`")


def check_image_size(image_size: int | None) -> int | None:
    """Return an image size, or None.

    Raises:
        UsageError: it is no multiple of 32 from 32 to 4096.
    """
    valid = isinstance(image_size, int) and not image_size % 32 and 32 <= image_size <= 4096
    if image_size is not None and not valid:
        raise UsageError(f"`image_size={image_size}`: give a multiple of 32 from 32 to 4096")
    return image_size
