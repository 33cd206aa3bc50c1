"""Share of a machine's matrix rate that an image encoder reaches."""

from __future__ import annotations

import time

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Sam2VideoModel

from auralsam2.modeling.image_encoder import encode_pyramid
from auralsam2.modeling.sam2 import input_side

GEMM_SIDES = (256, 2048)
"""Rows and columns of the matrices whose products are timed, the small ones first."""
_LONGEST = 2.0
"""Seconds above which the large product is left out, as in bf16 on a processor without such instructions."""


def gemm_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Return the rate of a matrix product in floating-point operations a second, the best of four."""
    rate = 0.0
    for side in GEMM_SIDES:
        operations = 2 * side**3
        if rate and operations / rate > _LONGEST:
            break
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        seconds = []
        for _ in range(4):
            _wait(device)
            began = time.perf_counter()
            torch.mm(a, b)
            _wait(device)
            seconds.append(time.perf_counter() - began)
        rate = operations / min(seconds)
    return rate


def encoder_operations(sam2: Sam2VideoModel) -> int:
    """Count the floating-point operations of the image encoder for one image: matrix products and convolutions."""
    weight = sam2.no_memory_embedding
    pixels = torch.zeros(1, 3, input_side(sam2), input_side(sam2), device=weight.device, dtype=weight.dtype)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        encode_pyramid(sam2, pixels)
    return counter.get_total_flops()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
