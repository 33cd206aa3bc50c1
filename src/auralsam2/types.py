"""Types shared by all packages, and the glossary of their symbols.

Shapes: B clip · T frames of a clip · C channels · H W pixels of the source, display orientation · S side of the model's
square input · h w stride-16 grid (h = w = S / 16) · N audio and text tokens · L width of a token.

The paper's symbols: r_a `audio_prompts` · r_v `visual_prompts` · k `level` (0, 1, 2 = strides 4, 8, 16) · z_c `tokens`
· z_v `pyramid`.

Colours are RGB, 8 bits. Points are (x, y) in pixels of the displayed frame; (0, 0) is the upper left corner of the
upper left pixel. Times are presentation times in seconds; 0 is the start of the file's presentation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auralsam2.arguments import as_index, as_number, as_path, as_seconds, as_text
from auralsam2.errors import UsageError, quoted

if TYPE_CHECKING:
    import numpy as np
    import torch

AUDIO_RATE = 16_000
"""Sampling rate of decoded audio, in Hz."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaInfo:
    """Properties that a media file declares.

    Attributes:
        path: the file.
        width, height: pixels of a displayed frame, after rotation and sample aspect; 0 for an audio file.
        fps: average frames per second; 0.0 if unknown. Never used to compute a time.
        duration: seconds of the longer stream; 0.0 if unknown. Used for progress and prompt checks alone.
        audio_rate: sampling rate of the first audio stream in Hz; None without audio.
        audio_channels: number of its channels; 0 without audio.
        time_base: seconds per unit of the pictures' time stamps; None without pictures.
        name: of a source that was copied to `path`, such as an address; empty for a file itself.
    """

    path: Path
    width: int
    height: int
    fps: float
    duration: float
    audio_rate: int | None
    audio_channels: int
    time_base: Fraction | None = None
    name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One processed frame.

    Attributes:
        index: position among the processed frames, from 0.
        time: presentation time of the picture, in seconds.
        instant: requested time in seconds, `time` <= `instant`; the audio around it belongs to the frame.
        slot: begin and end, in seconds, of the part of the video that the frame represents: a period of the requested
            rate, or, for every frame, from its own time to that of the next.
        image: (H, W, 3) uint8 RGB, display orientation.
        source_index: number of the picture in the file, from 0; None if unknown.
        pts: presentation time stamp of the picture in units of the file's time base; None if unknown.
    """

    index: int
    time: float
    instant: float
    slot: tuple[float, float]
    image: np.ndarray
    source_index: int | None = None
    pts: int | None = None


def _set(instance: object, **values: object) -> None:
    """Set attributes of a frozen dataclass while it is created."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """Click at x, y in source pixels and at a time in seconds; a positive one belongs to the object."""

    x: float
    y: float
    positive: bool = True
    time: float = 0.0

    def __post_init__(self) -> None:
        _set(self, x=as_number("x", self.x), y=as_number("y", self.y), time=as_seconds("time", self.time))
        _set(self, positive=bool(self.positive))


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """Box around the object: x0 < x1, y0 < y1 in source pixels; time in seconds, or text such as `1:30`."""

    x0: float
    y0: float
    x1: float
    y1: float
    time: float = 0.0

    def __post_init__(self) -> None:
        _set(self, **{name: as_number(name, getattr(self, name)) for name in ("x0", "y0", "x1", "y1")})
        _set(self, time=as_seconds("time", self.time))
        if not (self.x0 < self.x1 and self.y0 < self.y1):
            raise UsageError(
                f"box {self.x0:g},{self.y0:g},{self.x1:g},{self.y1:g} is empty: give X0,Y0,X1,Y1 with X0 < X1, Y0 < Y1"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Mask:
    """Mask of the object in an image file at source resolution.

    Attributes:
        path: the file: transparent, palette or grey; see `inference.mask_file`.
        time: in seconds, or text such as `1:30`.
        value: value or palette index of the object's pixels; None for the only object of the file.
    """

    path: Path
    time: float = 0.0
    value: int | None = None

    def __post_init__(self) -> None:
        _set(self, path=as_path("path", self.path), time=as_seconds("time", self.time))
        if self.value is not None:
            _set(self, value=as_index("value", self.value))


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompts:
    """Prompts of the user beside the audio.

    Attributes:
        points, boxes, masks, text: of one object, together with the audio, if it is used.
        objects: prompts of further objects, which do not use the audio: a mapping of numbers from 1, or pairs of number
            and prompts.
    """

    points: tuple[Point, ...] = ()
    boxes: tuple[Box, ...] = ()
    masks: tuple[Mask, ...] = ()
    text: str | None = None
    objects: tuple[tuple[int, Prompts], ...] = ()

    def __post_init__(self) -> None:
        for name, kind in (("points", Point), ("boxes", Box), ("masks", Mask)):
            value = getattr(self, name)
            prompts = (value,) if isinstance(value, kind) else tuple(value) if isinstance(value, Iterable) else (None,)
            if not all(isinstance(prompt, kind) for prompt in prompts):
                raise UsageError(f"`{name}={quoted(value)}`: give instances of `{kind.__name__}`")
            _set(self, **{name: prompts})
        if self.text is not None:
            _set(self, text=as_text("text", self.text))
        _set(self, objects=_object_prompts(self.objects))

    def as_dict(self) -> dict[str, Any]:
        """Return the prompts by name; `objects`, if there are some, by number."""
        values = asdict(self.own)
        del values["objects"]
        return values | ({"objects": {number: one.as_dict() for number, one in self.objects}} if self.objects else {})

    @property
    def own(self) -> Prompts:
        """The prompts without those of further objects."""
        return Prompts(points=self.points, boxes=self.boxes, masks=self.masks, text=self.text)

    @property
    def texts(self) -> tuple[str, ...]:
        """All expressions, that of the first object first."""
        return tuple(one.text for one in (self, *dict(self.objects).values()) if one.text is not None)

    @property
    def visual(self) -> tuple[Point | Box | Mask, ...]:
        """Points, boxes and masks, in this order."""
        return (*self.points, *self.boxes, *self.masks)

    def check_inside(self, info: MediaInfo, start: float, end: float | None) -> None:
        """Check that each visual prompt is inside the frame and the processed part of the video.

        Args:
            info: properties of the video.
            start: first processed second.
            end: last processed second; None for the end of the video.

        Raises:
            UsageError: a prompt is outside.
        """
        for _, prompts in self.objects:
            prompts.check_inside(info, start, end)
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
            if corners and all(0 < value < 1 for value in corners[-1]):
                raise UsageError(
                    f"{info.path}: prompt at {corners[-1][0]:g},{corners[-1][1]:g} looks like fractions of the frame: "
                    f"give pixels, up to {info.width},{info.height}"
                )
            for x, y in corners:
                if not (0 <= x <= info.width and 0 <= y <= info.height):
                    raise UsageError(
                        f"{info.path}: prompt at {x:g},{y:g} lies outside the frame of "
                        f"{info.width}x{info.height} pixels"
                    )


def _object_prompts(objects: Any) -> tuple[tuple[int, Prompts], ...]:
    """Return the prompts of objects in the order of their numbers.

    Raises:
        UsageError: a number is not 1 or more, or occurs twice, or there are no prompts for it.
    """
    entries = objects.items() if isinstance(objects, Mapping) else objects
    result: dict[int, Prompts] = {}
    for entry in entries if isinstance(entries, Iterable) else (entries,):
        if not isinstance(entry, Sequence) or len(entry) != 2 or not isinstance(entry[1], Prompts):
            raise UsageError(f"`objects={quoted(objects)}`: give a mapping of numbers to `Prompts`")
        number = as_index("objects", entry[0])
        if number == 0 or number in result:
            raise UsageError(f"object {number}: give each object a number of its own, from 1")
        if entry[1] == Prompts() or entry[1].objects:
            raise UsageError(f"object {number}: give it points, a box, a mask or text")
        result[number] = entry[1]
    return tuple(sorted(result.items()))


@dataclass(frozen=True, slots=True)
class FeaturePrompts:
    """Feature prompts for the mask decoder, one per pyramid level, level 0 (stride 4) first.

    Attributes:
        visual_prompts: r_v, dense, (T, h·w, C) each.
        audio_prompts: r_a, sparse, (T, C) each.
        coarse_mask: (T, h, w) logits of a coarse mask, or None.
        token: (T, C), a sparse prompt beside those of points and boxes, from the baseline GAVS; else None.
        object_score_cap: (T,), upper bound of each frame's object score, or None.
    """

    visual_prompts: tuple[torch.Tensor, ...] = ()
    audio_prompts: tuple[torch.Tensor, ...] = ()
    coarse_mask: torch.Tensor | None = None
    token: torch.Tensor | None = None
    object_score_cap: torch.Tensor | None = None

    def frame(self, t: int) -> FeaturePrompts:
        """Return the prompts of frame t, with T = 1."""
        return FeaturePrompts(
            tuple(prompt[t : t + 1] for prompt in self.visual_prompts),
            tuple(prompt[t : t + 1] for prompt in self.audio_prompts),
            None if self.coarse_mask is None else self.coarse_mask[t : t + 1],
            None if self.token is None else self.token[t : t + 1],
            None if self.object_score_cap is None else self.object_score_cap[t : t + 1],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Segmentation:
    """Result of one frame.

    Attributes:
        index: position among the processed frames, from 0.
        time: presentation time of the picture, in seconds.
        slot: begin and end, in seconds, of the part of the video that the frame represents.
        mask: (H, W) bool at source resolution, display orientation.
        logits: (S, S) float32 at the model's resolution; resized, values above 0 are `mask`. Those of a mask that the
            user gave are ±10 and have the size of that mask.
        iou: predicted IoU of the mask, in [0, 1]; 1 for a mask that the user gave.
        object_score: logit of the object's presence in the frame.
        sounding: the object is in the frame and, for models with audio, the frame's audio is not silent.
        image: (H, W, 3) uint8 RGB, the frame.
        object_id: number of the object; 0 is the sounding object.
        source_index: number of the picture in the file, from 0; None if unknown.
        pts: presentation time stamp of the picture in units of the file's time base; None if unknown.
        label: category of the object by the frames so far; None without names.
        label_score: probability of `label`, in [0, 1]; None without names.
    """

    index: int
    time: float
    slot: tuple[float, float]
    mask: np.ndarray
    logits: np.ndarray
    iou: float
    object_score: float
    sounding: bool
    image: np.ndarray = field(repr=False)
    object_id: int = 0
    source_index: int | None = None
    pts: int | None = None
    label: str | None = None
    label_score: float | None = None
