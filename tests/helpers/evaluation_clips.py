"""A data set in memory: clips in which a bright square is the target, and a loader that can fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from auralsam2.data.sample import LoadedClip, Sample
from auralsam2.errors import InputError

SIZE = 48


def sample(number: int, frames: int = 5, **more: object) -> Sample:
    return Sample(
        dataset="stampavs",
        split="test",
        id=f"clip{number}/0",
        clip=f"clip{number}",
        frames=tuple(Path(f"{number}/{t}.jpg") for t in range(frames)),
        audio=Path(f"{number}/audio.wav"),
        labels=((Path("x.png"),),) * frames,
        supervised=(True,) * frames,
        **more,  # type: ignore[arg-type]
    )


@dataclass
class Left:
    """Why a row of the csv is no sample."""

    what: str
    excluded: bool = True

    def __str__(self) -> str:
        return self.what


@dataclass
class Listed:
    samples: list[Sample]
    problems: list[Left] = field(default_factory=list)


def listing(count: int = 5, **more: object) -> Listed:
    return Listed([sample(number, **more) for number in range(count)])


@dataclass
class Loader:
    """Makes the clip of a sample; those in `bad` cannot be read."""

    bad: frozenset[str] = frozenset()
    calls: list[str] = field(default_factory=list)

    def __call__(self, sample: Sample, size: int) -> LoadedClip:
        self.calls.append(sample.id)
        if sample.clip in self.bad:
            raise InputError(f"{sample.frames[0]}: cut short")
        number, frames = int(sample.clip[4:]), len(sample.frames)
        generator = np.random.default_rng(number)
        labels = torch.zeros(frames, size, size, dtype=torch.bool)
        pictures = []
        for t in range(frames):
            picture = generator.integers(0, 60, (SIZE, SIZE + 16, 3), dtype=np.uint8)
            if (number + t) % 4:  # some frames have no target
                top, left = (5 + 3 * number + 2 * t) % 30, (4 + 5 * t) % 30
                picture[top : top + 14, left : left + 14] = 220
                s = size / SIZE
                labels[t, round(top * s) : round((top + 14) * s), round(left * s) : round((left + 14) * s)] = True
            pictures.append(picture)
        voice = int(str(sample.audio).split("/")[0])
        log_mel = torch.randn(frames, 2, 96, 64, generator=torch.Generator().manual_seed(voice))
        log_mel[0] = np.log(0.01)
        return LoadedClip(
            sample=sample,
            frames=pictures,
            log_mel=log_mel,
            labels=labels & torch.tensor(sample.supervised)[:, None, None],
            classes=None,
            supervised=torch.tensor(sample.supervised),
        )
