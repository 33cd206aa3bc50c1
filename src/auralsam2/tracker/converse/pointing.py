"""What the user points at, from pixels of the source to the model's square, checked on the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from auralsam2.decoder.visual import NEGATIVE, POSITIVE, VisualPrompts
from auralsam2.errors import UsageError
from auralsam2.tracker.converse.parts import innermost, parts
from auralsam2.tracker.guidance import read_mask
from auralsam2.tracker.source import Source
from auralsam2.types import Box, Mask, Point, Prompts
from auralsam2.vision.preprocess import label_to_square

XY = tuple[float, float]
XYXY = tuple[float, float, float, float]


class Pointing:
    """Makes visual prompts for the model's square.

    Args:
        source: the video.
        size: S.
    """

    def __init__(self, source: Source, size: int) -> None:
        self._source, self._size = source, size
        self._scale = torch.tensor([size / source.info.width, size / source.info.height])

    def points(self, points: Sequence[XY], labels: Sequence[int], time: float, box: XYXY | None) -> VisualPrompts:
        """Clicks, and a box said in the same breath.

        Raises:
            UsageError: something lies outside, or labels do not fit the points.
        """
        if len(points) != len(labels):
            raise UsageError(f"{len(points)} points but {len(labels)} labels: give one label a point, 1 or 0")
        for label in labels:
            if label not in (POSITIVE, NEGATIVE):
                raise UsageError(f"label {label!r}: give 1 for the object, 0 for what is not part of it")
        if not points and box is None:
            raise UsageError("no points: give at least one, as (x, y) in pixels")
        clicks = tuple(
            Point(x=x, y=y, positive=label == POSITIVE, time=time) for (x, y), label in zip(points, labels, strict=True)
        )
        boxes = () if box is None else (Box(x0=box[0], y0=box[1], x1=box[2], y1=box[3], time=time),)
        self.check(time, Prompts(points=clicks, boxes=boxes))
        return VisualPrompts(
            points=torch.tensor([[float(x), float(y)] for x, y in points]).reshape(-1, 2) * self._scale,
            labels=torch.tensor(list(labels), dtype=torch.int64),
            box=None if box is None else (torch.tensor(box).float().reshape(2, 2) * self._scale).flatten(),
        )

    def mask(self, mask: Path | str | np.ndarray, time: float) -> VisualPrompts:
        """A mask from a file, or (H, W) of the frame's size: what is not 0 is the object.

        Raises:
            UsageError: the time lies outside, or the array has another size.
            InputError: the file cannot be used.
        """
        self.check(time)
        width, height = self._source.info.width, self._source.info.height
        if not isinstance(mask, np.ndarray):
            return whole(read_mask(Mask(path=Path(mask), time=time), width, height, self._size))
        if mask.shape != (height, width):
            raise UsageError(f"mask of shape {mask.shape}: give (height, width) of the frame, {(height, width)}")
        return whole(label_to_square((mask != 0).astype(np.uint8), self._size))

    def check(self, time: float, prompts: Prompts | None = None) -> None:
        """Check that a moment lies in the processed part of the video, and prompts inside its frame.

        Raises:
            UsageError: they do not; the message names the limits.
        """
        source = self._source
        if not math.isfinite(time):
            raise UsageError(f"time {time}: give seconds on the clock of the video")
        # The moment alone is checked by a point that lies in any frame.
        source_prompts = prompts or Prompts(points=(Point(x=0, y=0, time=time),))
        source_prompts.check_inside(source.info, source.start, source.end)


def whole(mask: torch.Tensor) -> VisualPrompts:
    """A mask on the square, (S, S) bool, as the one prompt of a frame."""
    return VisualPrompts(points=torch.zeros(0, 2), labels=torch.zeros(0, dtype=torch.int64), mask=mask)


def anchored(visual: VisualPrompts, low: torch.Tensor, size: int) -> VisualPrompts:
    """Clicks that only take away, with one that holds on to what stays: in the middle of the mask's largest other part.

    SAM 2 was not trained to begin a frame with a negative click alone, and small models then ignore it.

    Args:
        visual: clicks, all negative.
        low: (4h, 4w) logits of the mask.
        size: S.
    """
    scale = size / len(low)
    clicked = [(int(y / scale), int(x / scale)) for x, y in visual.points.clamp(0, size - 1).tolist()]
    staying = [part for part in parts(low.cpu().numpy() > 0, 1) if not any(part[click] for click in clicked)]
    if not staying:
        return visual
    row, column = innermost(staying[0])
    hold = torch.tensor([[(column + 0.5) * scale, (row + 0.5) * scale]])
    return VisualPrompts(
        points=torch.cat([hold, visual.points]), labels=torch.cat([torch.tensor([POSITIVE]), visual.labels])
    )


def together(before: VisualPrompts, more: VisualPrompts) -> VisualPrompts:
    """What was said of a frame, and more clicks."""
    return VisualPrompts(
        points=torch.cat([before.points, more.points]),
        labels=torch.cat([before.labels, more.labels]),
        box=before.box,
        mask=before.mask,
    )
