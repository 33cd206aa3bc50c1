"""Interfaces of the pipeline: tagger, detector and selector, and the types that they exchange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

DetectionBox = tuple[float, float, float, float]
"""x0, y0, x1, y1 in source pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tag:
    """Label of a sound in a clip.

    Attributes:
        label: name of the sound's source.
        score: maximum probability over the seconds, in [0, 1].
        active: for each second, whether the label sounds.
    """

    label: str
    score: float
    active: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """Box of a label in one frame.

    Attributes:
        index: frame, from 0; one frame per second.
        time: time of the frame in seconds.
        box: in source pixels.
        score: score of the detector, in [0, 1].
        area: share of the image that the box covers.
        motion: mean absolute difference to the previous frame inside the box, in [0, 1]; 0 in the first frame.
    """

    index: int
    time: float
    box: DetectionBox
    score: float
    area: float
    motion: float


class Tagger(Protocol):
    """Audio tagger.

    Attributes:
        name: identifier for the cache; taggers with different answers need different names.
    """

    name: str

    def tag(self, seconds: np.ndarray) -> list[Tag]:
        """Return the tags of a clip, the most probable first.

        Args:
            seconds: (T, 16000) float32, one channel at 16 kHz, one second per row.
        """
        ...


class Detector(Protocol):
    """Object detector.

    Attributes:
        name: identifier for the cache; detectors with different answers need different names.
    """

    name: str

    def detect(self, image: np.ndarray, label: str) -> list[tuple[DetectionBox, float]]:
        """Return boxes and scores, best first.

        Args:
            image: (H, W, 3) uint8 RGB.
            label: name of the object.
        """
        ...


class Selector(Protocol):
    """Selector of the frame and box that prompt SAM 2."""

    def select(self, detections: Sequence[Detection]) -> Detection | None:
        """Return one of the detections of a label in all frames, or None."""
        ...


MIN_OVERLAP = 0.9
"""Minimum share of a box inside another one to be a part of it."""
SMALL_AREA, WHOLE_AREA = 0.02, 0.95
"""Shares of the image: smaller boxes have a lower weight, larger ones cover the whole image."""


@dataclass(frozen=True, kw_only=True)
class RuleSelector:
    """Select the box of the highest score × size × motion that is no part of a better one.

    Size is 1, less for boxes below 2 % of the image, and 0.5 for boxes of the whole image. Motion is between 0.5 for a
    static box and 1 for the one with the most motion. Ties go to the earlier frame, then to the smaller coordinates.

    Attributes:
        min_score: minimum score of a detection.
    """

    min_score: float = 0.3

    def select(self, detections: Sequence[Detection]) -> Detection | None:
        """Return one of the detections of a label in all frames; None if no score is high enough."""
        confident = [detection for detection in detections if detection.score >= self.min_score]
        candidates = [box for box in confident if not any(_is_part(box, outer) for outer in confident)]
        if not candidates:
            return None
        max_motion = max(detection.motion for detection in candidates)

        def rank(detection: Detection) -> tuple[float, int, DetectionBox]:
            motion = 0.5 + 0.5 * (detection.motion / max_motion if max_motion else 0.0)
            size = 0.5 if detection.area > WHOLE_AREA else min(1.0, detection.area / SMALL_AREA)
            return -detection.score * size * motion, detection.index, detection.box

        return min(candidates, key=rank)


def _is_part(inner: Detection, outer: Detection) -> bool:
    """Return whether a box is inside a larger one of the same frame with at least its score, not of the whole image."""
    if outer.area > WHOLE_AREA or inner.index != outer.index or outer.score < inner.score:
        return False
    if _size(outer.box) <= _size(inner.box):
        return False
    (a0, b0, a1, b1), (c0, d0, c1, d1) = inner.box, outer.box
    shared = _size((max(a0, c0), max(b0, d0), min(a1, c1), min(b1, d1)))
    return shared >= MIN_OVERLAP * _size(inner.box)


def _size(box: DetectionBox) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
