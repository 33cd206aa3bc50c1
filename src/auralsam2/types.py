"""The types that pass from room to room, and the glossary of their letters.

Shapes: B clip · T frames of a clip · C channels · H W pixels of the source, display orientation · S side of the square
image that the model sees · h w stride-16 grid (h = w = S / 16) · N tokens of sound and text · L width of a token.

The paper's symbols: r_a `audio_prompts` · r_v `visual_prompts` · k `level` (0, 1, 2 = strides 4, 8, 16) · z_c `tokens`
· z_v `pyramid`.

Colours are RGB, 8 bits. Points are (x, y) in pixels of the displayed frame, (0, 0) the upper left corner of the upper
left pixel. Time is seconds on the clock of the file, 0 where the presentation of the file starts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from auralsam2.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import torch

OUTPUT_FILES = {
    "overlay": "overlay.mp4",
    "masks": "masks",
    "frames": "frames",
    "coco": "coco.json",
    "json": "result.json",
}
"""Kinds of output and their names in a result folder, in the order of writing. `result.json` marks completion."""

AUDIO_RATE = 16_000
"""Samples per second of all sound downstream of the room `media`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaInfo:
    """What a media file says of itself.

    Attributes:
        path: the file.
        width, height: pixels of a displayed frame, rotation and sample aspect applied; 0 for a file of sound alone.
        fps: average frames per second as announced; 0.0 where unknown. Never used to compute a time.
        duration: seconds of the longer stream as announced; 0.0 where unknown. Only for progress and prompt checks.
        audio_rate: samples per second of the first audio stream, None without sound.
        audio_channels: its number of channels, 0 without sound.
    """

    path: Path
    width: int
    height: int
    fps: float
    duration: float
    audio_rate: int | None
    audio_channels: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One processed frame.

    Attributes:
        index: position among the processed frames, from 0.
        time: presentation time of the picture, in seconds.
        instant: the moment for which the picture was wanted (`time` <= `instant`), in seconds; the sound around this
            moment belongs to the frame.
        image: (H, W, 3) uint8 RGB, display orientation.
    """

    index: int
    time: float
    instant: float
    image: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A click: x, y in source pixels; positive means "this belongs to the object"; time in seconds."""

    x: float
    y: float
    positive: bool = True
    time: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A box around the object: x0 < x1, y0 < y1 in source pixels; time in seconds."""

    x0: float
    y0: float
    x1: float
    y1: float
    time: float = 0.0

    def __post_init__(self) -> None:
        if not (self.x0 < self.x1 and self.y0 < self.y1):
            raise UsageError(
                f"box {self.x0:g},{self.y0:g},{self.x1:g},{self.y1:g} is empty: give X0,Y0,X1,Y1 with X0 < X1, Y0 < Y1"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Mask:
    """A mask of the object at source resolution: a PNG whose non-zero pixels are the object; time in seconds."""

    path: Path
    time: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompts:
    """What the user says about the object beside the sound. All of it describes one target."""

    points: tuple[Point, ...] = ()
    boxes: tuple[Box, ...] = ()
    masks: tuple[Mask, ...] = ()
    text: str | None = None

    @property
    def visual(self) -> tuple[Point | Box | Mask, ...]:
        """Points, boxes and masks, in this order."""
        return (*self.points, *self.boxes, *self.masks)

    def check_inside(self, info: MediaInfo, start: float, end: float | None) -> None:
        """Check that each visual prompt lies in the frame and in the processed part of the video.

        Args:
            info: the video.
            start: first processed second.
            end: last processed second, None for the end of the video.

        Raises:
            UsageError: a prompt lies outside; the message names it and the limits.
        """
        last = end if end is not None else (info.duration or float("inf"))
        for prompt in self.visual:
            if not start <= prompt.time <= last:
                raise UsageError(
                    f"{info.path}: prompt at {prompt.time:g} s lies outside the processed part, {start:g} to {last:g} s"
                )
            corners = ()
            if isinstance(prompt, Point):
                corners = ((prompt.x, prompt.y),)
            elif isinstance(prompt, Box):
                corners = ((prompt.x0, prompt.y0), (prompt.x1, prompt.y1))
            for x, y in corners:
                if not (0 <= x <= info.width and 0 <= y <= info.height):
                    raise UsageError(
                        f"{info.path}: prompt at {x:g},{y:g} lies outside the frame of "
                        f"{info.width}x{info.height} pixels"
                    )


@dataclass(frozen=True, slots=True)
class FeaturePrompts:
    """The fuser's word to the mask decoder, one entry a level, level 0 (stride 4) first.

    Attributes:
        visual_prompts: r_v, dense, (T, h·w, C) each.
        audio_prompts: r_a, sparse, (T, C) each.
        drawn: (T, h, w) logits of a rough mask, from fusers that draw one.
        token: (T, C), a token beside those of points and boxes, from the baseline that prompts with one.
        bound: (T,), what no frame's object score exceeds; None where each frame is judged by itself.
    """

    visual_prompts: tuple[torch.Tensor, ...] = ()
    audio_prompts: tuple[torch.Tensor, ...] = ()
    drawn: torch.Tensor | None = None
    token: torch.Tensor | None = None
    bound: torch.Tensor | None = None

    def frame(self, t: int) -> FeaturePrompts:
        """The prompts of frame t of the clip alone, with T = 1."""
        return FeaturePrompts(
            tuple(prompt[t : t + 1] for prompt in self.visual_prompts),
            tuple(prompt[t : t + 1] for prompt in self.audio_prompts),
            None if self.drawn is None else self.drawn[t : t + 1],
            None if self.token is None else self.token[t : t + 1],
            None if self.bound is None else self.bound[t : t + 1],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Segmentation:
    """The one result type: what was found in one frame.

    Attributes:
        index: position among the processed frames, from 0.
        time: presentation time of the picture, in seconds.
        mask: (H, W) bool at source resolution, display orientation.
        logits: (S, S) float32 at the model's resolution; `mask` is these, resized, > 0.
        iou: predicted IoU of the mask, in [0, 1].
        object_score: logit of "the object is in this frame".
        sounding: the object is in the frame, and, where the model hears, something sounds.
        image: (H, W, 3) uint8 RGB, the frame itself.
        object_id: whose mask it is, where several are followed; 0 is what sounds.
    """

    index: int
    time: float
    mask: np.ndarray
    logits: np.ndarray
    iou: float
    object_score: float
    sounding: bool
    image: np.ndarray = field(repr=False)
    object_id: int = 0
