"""Synthetic segmentations of a disc that moves, disappears and falls silent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auralsam2.types import MediaInfo, Segmentation

H, W = 48, 64


def build(index: int, *, radius: float = 10.0, sounding: bool = True, fps: float = 10.0) -> Segmentation:
    y, x = np.mgrid[:H, :W]
    mask = (x - 20 - index) ** 2 + (y - 24) ** 2 < radius**2
    image = np.random.default_rng(index).integers(0, 256, (H, W, 3), dtype=np.uint8)
    return Segmentation(
        index=index,
        time=index / fps,
        slot=(index / fps, (index + 1) / fps),
        mask=mask,
        logits=np.where(mask, 4.0, -4.0).astype(np.float32),
        iou=0.912345678,
        object_score=3.25,
        sounding=sounding,
        image=image,
    )


@pytest.fixture
def segmentation() -> Callable[..., Segmentation]:
    return build


@pytest.fixture
def info() -> MediaInfo:
    return MediaInfo(
        path=Path("dog.mp4"), width=W, height=H, fps=10.0, duration=1.0, audio_rate=44_100, audio_channels=2
    )


@pytest.fixture
def header() -> dict[str, Any]:
    return {
        "model": "mini",
        "prompts": {"points": [], "text": None},
        "options": {"fps": "all", "save": ["json"]},
        "device": "cpu",
        "dtype": "fp32",
    }
