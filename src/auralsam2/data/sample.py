"""The one sample type of all data sets: what belongs together, as paths; and the same, loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import torch

Coding = Literal["mask", "avss", "coco"]
"""How the pixels of a label are read. mask: what is not 0 is the object; avss: the 71 colours of AVSBench-semantic,
black is background; coco: COCO category ids as VPO uses them, 255 is to be ignored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioSource:
    """One source of a mixed sound.

    Attributes:
        path: its sound file.
        position: where it stands, from 0 (all left) to 1 (all right).
    """

    path: Path
    position: float


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioMix:
    """A sound that is mixed when it is loaded: the sum of panned sources.

    Attributes:
        voices: the sources, at least one.
    """

    voices: tuple[AudioSource, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One thing to segment: the frames of a clip, its sound, its labels, and, for some data sets, an expression.

    Attributes:
        dataset: name of the data set, such as `v1s` or `ref-avs`.
        split: name of the split, as published.
        id: tells the sample from all others of its data set and split; usable as a relative path.
        clip: name of the clip; several samples can share one (Ref-AVS: one clip, many expressions).
        frames: T picture files, in order of time.
        audio: the sound file, or the sources of which to mix the sound.
        labels: T entries: the label files of the frame, whose union is the label. An empty entry is a frame without the
            object where `supervised` says that the frame has a label, and an unlabelled frame elsewhere.
        supervised: T flags: which frames have a label. Losses and scores may use these frames only.
        coding: how the pixels of the labels are read.
        first_example: number of the log-mel example that belongs to the first frame, from 0.
        expression: what the sample asks for, None where the sound alone says it.
        null: the expression refers to nothing that is to be seen or heard: the right mask is empty.
        categories: names of the object classes where the data say them; they may be noisy.
        kind: what sort of scene it is, for tables by kind; "" where the data set does not say.
        objects: for each object of the scene, sounding or not, its T label files; only where the data set has them.
        line: line of the csv file that lists the sample, from 1; None where there is no such file.
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
        """The sound files."""
        return tuple(voice.path for voice in self.audio.voices) if isinstance(self.audio, AudioMix) else (self.audio,)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedClip:
    """A sample in memory.

    Attributes:
        sample: what was loaded.
        frames: T pictures (H, W, 3) uint8 RGB at the size of the files.
        log_mel: (T, 2, 96, 64) float32, left and right; example t belongs to frame t.
        labels: (T, S, S) bool at the model's size; False everywhere in frames that are not supervised.
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
