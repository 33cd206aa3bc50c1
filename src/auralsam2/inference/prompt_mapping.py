"""Mapping of visual prompts from pixels of the video to the model's square."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch

from auralsam2.arguments import as_array, as_path
from auralsam2.errors import UsageError
from auralsam2.inference.mask_file import read_mask_file
from auralsam2.inference.video_source import VideoSource
from auralsam2.modeling.preprocess import mask_to_square
from auralsam2.modeling.prompt_encoder import NEGATIVE, POSITIVE, VisualPrompts
from auralsam2.types import Box, Mask, Point, Prompts
from auralsam2.utils.mask_geometry import connected_components, interior_point

XY = tuple[float, float]
XYXY = tuple[float, float, float, float]


class PromptMapper:
    """Checks the prompts of a video and maps them to the model's square.

    Args:
        source: the video.
        size: S.
    """

    def __init__(self, source: VideoSource, size: int) -> None:
        self._source, self._size = source, size
        self._scale = torch.tensor([size / source.info.width, size / source.info.height])

    def points(self, points: Any, labels: Any, time: Any, box: Any) -> VisualPrompts:
        """Map clicks and a box of one frame.

        Args:
            points: (n, 2) x, y in pixels of the video.
            labels: (n,) 1 for positive, 0 for negative clicks.
            time: in seconds.
            box: (4,) x0, y0, x1, y1 in pixels of the video, or None.

        Raises:
            UsageError: a value lies outside the frame or the processed part, or the labels do not match the points.
        """
        places, signs = as_array("points", points), as_array("labels", labels)
        if places.size and (places.ndim != 2 or places.shape[1] != 2):
            raise UsageError(f"`points` of shape {places.shape}: give (n, 2), x and y in pixels")
        if signs.ndim != 1 or len(places) != len(signs):
            raise UsageError(f"{len(places)} points but {signs.size} labels: give one label per point, 1 or 0")
        for label in signs.tolist():
            if label not in (POSITIVE, NEGATIVE):
                raise UsageError(f"label {label!r}: give 1 for the object, 0 for the background")
        if not places.size and box is None:
            raise UsageError("no points: give at least one, as (x, y) in pixels")
        clicks = tuple(
            Point(x=x, y=y, positive=label == POSITIVE, time=time)
            for (x, y), label in zip(places.tolist(), signs.tolist(), strict=True)
        )
        boxes = ()
        if box is not None:
            edges = as_array("box", box)
            if edges.size != 4:
                raise UsageError(f"`box` of shape {edges.shape}: give x0, y0, x1, y1 in pixels")
            x0, y0, x1, y1 = edges.ravel().tolist()
            boxes = (Box(x0=x0, y0=y0, x1=x1, y1=y1, time=time),)
        prompts = Prompts(points=clicks, boxes=boxes)
        self.check(prompts)
        return self.map_frame(prompts)

    def mask(self, mask: Any, time: Any) -> VisualPrompts:
        """Map a mask of one frame.

        Args:
            mask: an image file, or (H, W) of the size of the frame; non-zero pixels are the object.
            time: in seconds.

        Raises:
            UsageError: the time lies outside the processed part, or the array has another size.
            InputError: the file cannot be read, or has another size.
        """
        self.check_time(time)
        if isinstance(mask, str | os.PathLike):
            return self.map_frame(Prompts(masks=(Mask(path=as_path("mask", mask), time=time),)))
        label = as_array("mask", mask)
        shape = (self._source.info.height, self._source.info.width)
        if label.shape != shape:
            raise UsageError(f"mask of shape {label.shape}: give (height, width) of the frame, {shape}")
        return from_mask(torch.from_numpy(label != 0), self._size)

    def map_frame(self, prompts: Prompts) -> VisualPrompts:
        """Map all points, the box and the mask of one frame.

        Raises:
            UsageError: there are two boxes, or two masks.
            InputError: the mask file cannot be read, or has another size.
        """
        for kind, several in (("boxes", prompts.boxes), ("masks", prompts.masks)):
            if len(several) > 1:
                raise UsageError(
                    f"two {kind} fall on the frame at {several[0].time:g} s: all prompts describe one object"
                )
        box = mask = source = None
        if prompts.boxes:
            (corners,) = prompts.boxes
            box = self._scaled([[corners.x0, corners.y0], [corners.x1, corners.y1]]).flatten()
        if prompts.masks:
            (file,) = prompts.masks
            source = torch.from_numpy(read_mask_file(file, self._source.info.width, self._source.info.height))
            mask = mask_to_square(source, self._size)
        return VisualPrompts(
            points=self._scaled([[point.x, point.y] for point in prompts.points]),
            labels=torch.tensor([POSITIVE if point.positive else NEGATIVE for point in prompts.points]).long(),
            box=box,
            mask=mask,
            source_mask=source,
        )

    def by_frame(self, prompts: Prompts, index_at: Callable[[float], int]) -> dict[int, VisualPrompts]:
        """Map the prompts of a video, grouped by frame.

        Args:
            prompts: of the whole video.
            index_at: returns the index of the frame at a time in seconds.

        Returns:
            visual prompts by index of the frame: ascending, but frames with negative clicks only come last, so that
            there is a mask that they correct.

        Raises:
            UsageError: a value lies outside the frame or the processed part, or two boxes or two masks share a frame.
            InputError: a mask file cannot be read, or has another size.
        """
        self.check(prompts)
        index = {prompt.time: index_at(prompt.time) for prompt in prompts.visual}
        frames = {
            frame: self.map_frame(
                Prompts(
                    points=tuple(point for point in prompts.points if index[point.time] == frame),
                    boxes=tuple(box for box in prompts.boxes if index[box.time] == frame),
                    masks=tuple(mask for mask in prompts.masks if index[mask.time] == frame),
                )
            )
            for frame in sorted(set(index.values()))
        }
        return dict(sorted(frames.items(), key=lambda item: is_negative_only(item[1])))

    def _scaled(self, points: list[list[float]]) -> torch.Tensor:
        """Return (n, 2) x, y in pixels of the model's square."""
        return torch.tensor(points, dtype=torch.float32).reshape(-1, 2) * self._scale

    def check_time(self, time: Any) -> None:
        """Check that a time lies in the processed part of the video.

        Raises:
            UsageError: it does not; the message names the limits.
        """
        # (0, 0) is inside every frame.
        self.check(Prompts(points=(Point(x=0, y=0, time=time),)))

    def check(self, prompts: Prompts) -> None:
        """Check that prompts lie in the processed part of the video and inside its frame.

        Raises:
            UsageError: they do not; the message names the limits.
        """
        prompts.check_inside(self._source.info, self._source.start, self._source.end)


def from_mask(mask: torch.Tensor, size: int) -> VisualPrompts:
    """Return a mask as visual prompts.

    Args:
        mask: (H, W) bool, of the size of the video, or (S, S).
        size: S.
    """
    return VisualPrompts(
        points=torch.zeros(0, 2),
        labels=torch.zeros(0, dtype=torch.int64),
        mask=mask_to_square(mask, size),
        source_mask=mask,
    )


def is_negative_only(visual: VisualPrompts) -> bool:
    """Return whether the prompts are negative clicks only."""
    return visual.box is None and visual.mask is None and not visual.labels.any()


def with_positive_anchor(visual: VisualPrompts, mask: torch.Tensor, size: int) -> VisualPrompts:
    """Add a positive click to negative ones: inside the largest component of the mask that contains none of them.

    SAM 2 was not trained to start a frame with a negative click alone, and small models ignore it.

    Args:
        visual: negative clicks.
        mask: (4h, 4w) logits of the mask that they correct.
        size: S.

    Returns:
        all clicks, the positive one first; `visual` itself if each component contains a negative click.
    """
    scale = size / len(mask)
    clicks = [(int(y / scale), int(x / scale)) for x, y in visual.points.clamp(0, size - 1).tolist()]
    components = [
        component
        for component in connected_components(mask.cpu().numpy() > 0, 1)
        if not any(component[click] for click in clicks)
    ]
    if not components:
        return visual
    row, column = interior_point(components[0])
    anchor = torch.tensor([[(column + 0.5) * scale, (row + 0.5) * scale]])
    return VisualPrompts(
        points=torch.cat([anchor, visual.points]), labels=torch.cat([torch.tensor([POSITIVE]), visual.labels])
    )


def concat_prompts(before: VisualPrompts, more: VisualPrompts) -> VisualPrompts:
    """Return the prompts of a frame with more clicks."""
    return VisualPrompts(
        points=torch.cat([before.points, more.points]),
        labels=torch.cat([before.labels, more.labels]),
        box=before.box,
        mask=before.mask,
        source_mask=before.source_mask,
    )
