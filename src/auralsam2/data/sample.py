"""Sample of any data set: its files, and their loaded content."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import torch

Coding = Literal["mask", "object", "avss", "coco"]
"""Coding of label pixels. mask: object where not 0; object: the same, a file for each object, which gives the class;
avss: the 71 colours of AVSBench-semantic, background black; coco: COCO category ids as in VPO, 255 ignored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioSource:
    """One source of an audio mix.

    Attributes:
        path: audio file.
        position: pan, from 0 (left) to 1 (right).
    """

    path: Path
    position: float


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioMix:
    """Audio mixed on loading: the sum of panned sources.

    Attributes:
        voices: sources, at least one.
    """

    voices: tuple[AudioSource, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One object to segment: frames, audio and labels of a clip, and in some data sets an expression.

    Attributes:
        dataset: name of the data set, such as `v1s` or `ref-avs`.
        split: name of the split, as published.
        id: unique in its data set and split; usable as a relative path.
        clip: name of the clip; several samples can share one (Ref-AVS: one clip, many expressions).
        frames: T image files in temporal order.
        audio: audio file, or the sources of a mix.
        labels: T entries: the label files of the frame, whose union is the label. An empty entry is a frame without the
            object where `supervised` says that the frame has a label, and an unlabelled frame elsewhere.
        supervised: T flags: which frames have a label. Losses and scores may use these frames only.
        coding: coding of label pixels.
        first_example: index of the first frame's log-mel example, from 0.
        expression: referring expression; None for the sounding objects.
        null: the expression has no referent; the true mask is empty.
        categories: class names of the objects, if known; they may be noisy.
        kind: kind of scene, for tables by kind; "" if unknown.
        objects: T label files of each object, sounding or not, if the data set has them.
        object_classes: class of each object, for the coding `object`.
        line: line of the csv file, from 1; None without such a file.
    """

    dataset: str
    split: str
    id: str
    clip: str
    frames: tuple[Path, ...]
    audio: Path | AudioMix
    labels: tuple[tuple[Path, ...], ...]
    supervised: tuple[bool, ...]
    coding: Coding = "mask"
    first_example: int = 0
    expression: str | None = None
    null: bool = False
    categories: tuple[str, ...] = ()
    kind: str = ""
    objects: tuple[tuple[Path, ...], ...] = ()
    object_classes: tuple[int, ...] = ()
    line: int | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.frames), len(self.labels), len(self.supervised)}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(
                f"{self.id}: {len(self.frames)} frames, {len(self.labels)} labels and {len(self.supervised)} flags: "
                "give the same number of each, at least one"
            )

    @property
    def sounds(self) -> tuple[Path, ...]:
        """Audio files."""
        return tuple(voice.path for voice in self.audio.voices) if isinstance(self.audio, AudioMix) else (self.audio,)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedClip:
    """A loaded sample.

    Attributes:
        sample: the sample.
        frames: T images (H, W, 3) uint8 RGB in the size of the files.
        log_mel: (T, 2, 96, 64) float32, left and right; example t belongs to frame t.
        labels: (T, S, S) bool at the model's input size; False in unsupervised frames.
        classes: (T, S, S) uint8, class of each pixel, 0 for background and 255 for pixels to ignore; None where the
            labels say nothing of classes.
        supervised: (T,) bool, from the sample.
    """

    sample: Sample
    frames: list[np.ndarray] = field(repr=False)
    log_mel: torch.Tensor = field(repr=False)
    labels: torch.Tensor = field(repr=False)
    classes: torch.Tensor | None = field(repr=False)
    supervised: torch.Tensor = field(repr=False)
