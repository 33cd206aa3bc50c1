"""What the user points at, from pixels of the source to the model's square, checked on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from auralsam2.errors import UsageError
from auralsam2.inference.video_source import VideoSource, read_label
from auralsam2.modeling.preprocess import label_to_square
from auralsam2.modeling.prompt_encoder import NEGATIVE, POSITIVE, VisualPrompts
from auralsam2.types import Box, Mask, Point, Prompts
from auralsam2.utils.mask_geometry import connected_components, interior_point

XY = tuple[float, float]
XYXY = tuple[float, float, float, float]


class PromptMapper:
    """Makes visual prompts for the model's square.

    Args:
        source: the video.
        size: S.
    """

    def __init__(self, source: VideoSource, size: int) -> None:
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
        prompts = Prompts(points=clicks, boxes=boxes)
        self.check(prompts)
        return self.at_once(prompts)

    def mask(self, mask: Path | str | np.ndarray, time: float) -> VisualPrompts:
        """A mask from a file, or (H, W) of the frame's size: what is not 0 is the object.

        Raises:
            UsageError: the time lies outside, or the array has another size.
            InputError: the file cannot be used.
        """
        self.check_time(time)
        if not isinstance(mask, np.ndarray):
            return self.at_once(Prompts(masks=(Mask(path=Path(mask), time=time),)))
        shape = (self._source.info.height, self._source.info.width)
        if mask.shape != shape:
            raise UsageError(f"mask of shape {mask.shape}: give (height, width) of the frame, {shape}")
        return from_mask(label_to_square((mask != 0).astype(np.uint8), self._size))

    def at_once(self, prompts: Prompts) -> VisualPrompts:
        """All points, the box and the mask of one frame together.

        Raises:
            UsageError: there are two boxes, or two masks.
            InputError: the file of the mask cannot be used.
        """
        for kind, several in (("boxes", prompts.boxes), ("masks", prompts.masks)):
            if len(several) > 1:
                raise UsageError(
                    f"two {kind} fall on the frame at {several[0].time:g} s: all prompts describe one object"
                )
        box = mask = None
        if prompts.boxes:
            (drawn,) = prompts.boxes
            box = self._on_square([[drawn.x0, drawn.y0], [drawn.x1, drawn.y1]]).flatten()
        if prompts.masks:
            (given,) = prompts.masks
            label = read_label(given.path, self._source.info.width, self._source.info.height)
            mask = label_to_square(label, self._size)
        return VisualPrompts(
            points=self._on_square([[point.x, point.y] for point in prompts.points]),
            labels=torch.tensor([POSITIVE if point.positive else NEGATIVE for point in prompts.points]).long(),
            box=box,
            mask=mask,
        )

    def by_frame(self, prompts: Prompts, index_at: Callable[[float], int]) -> dict[int, VisualPrompts]:
        """What is said of each frame, all at once.

        Args:
            prompts: of the whole video.
            index_at: the frame that a moment means.

        Returns:
            by index of the frame, ascending; but frames on which something is only taken away come after the others, so
            that there is something to take it from.

        Raises:
            UsageError: something lies outside, or two boxes, or two masks, fall on one frame.
            InputError: the file of a mask cannot be used.
        """
        self.check(prompts)
        index = {prompt.time: index_at(prompt.time) for prompt in prompts.visual}
        frames = {
            here: self.at_once(
                Prompts(
                    points=tuple(point for point in prompts.points if index[point.time] == here),
                    boxes=tuple(box for box in prompts.boxes if index[box.time] == here),
                    masks=tuple(mask for mask in prompts.masks if index[mask.time] == here),
                )
            )
            for here in sorted(set(index.values()))
        }
        return dict(sorted(frames.items(), key=lambda frame: is_negative_only(frame[1])))

    def _on_square(self, places: list[list[float]]) -> torch.Tensor:
        """(n, 2) x, y."""
        return torch.tensor(places, dtype=torch.float32).reshape(-1, 2) * self._scale

    def check_time(self, time: float) -> None:
        """Check that a moment lies in the processed part of the video.

        Raises:
            UsageError: it does not; the message names the limits.
        """
        # A point that lies in any frame.
        self.check(Prompts(points=(Point(x=0, y=0, time=time),)))

    def check(self, prompts: Prompts) -> None:
        """Check that prompts lie in the processed part of the video and inside its frame.

        Raises:
            UsageError: they do not; the message names the limits.
        """
        for prompt in prompts.visual:
            if not math.isfinite(prompt.time):
                raise UsageError(f"time {prompt.time}: give seconds on the clock of the video")
        prompts.check_inside(self._source.info, self._source.start, self._source.end)


def from_mask(mask: torch.Tensor) -> VisualPrompts:
    """A mask on the square, (S, S) bool, as the one prompt of a frame."""
    return VisualPrompts(points=torch.zeros(0, 2), labels=torch.zeros(0, dtype=torch.int64), mask=mask)


def is_negative_only(visual: VisualPrompts) -> bool:
    """Whether nothing is said but what is not part of the object."""
    return visual.box is None and visual.mask is None and not visual.labels.any()


def with_positive_anchor(visual: VisualPrompts, low: torch.Tensor, size: int) -> VisualPrompts:
    """Clicks that only take away, with one that holds on to what stays: in the middle of the mask's largest other part.

    SAM 2 was not trained to begin a frame with a negative click alone, and small models then ignore it.

    Args:
        visual: clicks, all negative.
        low: (4h, 4w) logits of the mask.
        size: S.
    """
    scale = size / len(low)
    clicked = [(int(y / scale), int(x / scale)) for x, y in visual.points.clamp(0, size - 1).tolist()]
    staying = [
        part for part in connected_components(low.cpu().numpy() > 0, 1) if not any(part[click] for click in clicked)
    ]
    if not staying:
        return visual
    row, column = interior_point(staying[0])
    hold = torch.tensor([[(column + 0.5) * scale, (row + 0.5) * scale]])
    return VisualPrompts(
        points=torch.cat([hold, visual.points]), labels=torch.cat([torch.tensor([POSITIVE]), visual.labels])
    )


def concat_prompts(before: VisualPrompts, more: VisualPrompts) -> VisualPrompts:
    """What was said of a frame, and more clicks."""
    return VisualPrompts(
        points=torch.cat([before.points, more.points]),
        labels=torch.cat([before.labels, more.labels]),
        box=before.box,
        mask=before.mask,
    )
