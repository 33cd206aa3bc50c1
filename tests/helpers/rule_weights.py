"""The number rule and the files of `tests/golden` that were computed with it; see tests/golden/README.md."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import torch

from golden_rule import fill, normal, samples, tensor, wave, weight

__all__ = ["assert_close", "fill", "golden", "golden_json", "normal", "samples", "tensor", "wave", "weight"]

GOLDEN = Path(__file__).parents[1] / "golden"


@functools.cache
def golden(name: str) -> dict[str, np.ndarray]:
    """One golden archive."""
    with np.load(GOLDEN / f"{name}.npz") as archive:
        return dict(archive)


def golden_json(name: str) -> object:
    """One golden JSON file."""
    return json.loads((GOLDEN / name).read_text())


def assert_close(actual: torch.Tensor | np.ndarray, expected: np.ndarray, atol: float, rtol: float = 0.0) -> None:
    """`abs(a - b) <= atol + rtol · max(abs(b))`, as the golden files state their tolerance."""
    actual = actual.detach().float().numpy() if isinstance(actual, torch.Tensor) else actual
    expected = expected.astype(np.float32)
    assert actual.shape == expected.shape, (actual.shape, expected.shape)
    worst = float(np.abs(actual - expected).max())
    assert worst <= atol + rtol * float(np.abs(expected).max()), f"largest difference {worst}"
