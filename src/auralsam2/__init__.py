"""auralsam2: segmentation of the sounding objects of a video, frame by frame, with SAM 2."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from auralsam2.types import Box, Mask, Point, Prompts, Segmentation
from auralsam2.version import __version__

if TYPE_CHECKING:
    from auralsam2.live import LiveSegmentation
    from auralsam2.model import AuralSAM2, VideoSegmentation, VideoSession, load
    from auralsam2.outputs.supervision_detections import to_supervision

__all__ = [
    "AuralSAM2",
    "Box",
    "LiveSegmentation",
    "Mask",
    "Point",
    "Prompts",
    "Segmentation",
    "VideoSegmentation",
    "VideoSession",
    "__version__",
    "load",
    "to_supervision",
]

_LAZY = dict.fromkeys(("AuralSAM2", "VideoSession", "VideoSegmentation", "load"), "auralsam2.model") | {
    "LiveSegmentation": "auralsam2.live",
    "to_supervision": "auralsam2.outputs.supervision_detections",
}


def __getattr__(name: str) -> Any:
    """Import attributes that need large libraries on first access."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
