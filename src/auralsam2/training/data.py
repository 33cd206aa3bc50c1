"""Clips for training and validation. What a clip becomes depends on the seed and its number alone.

Draw number d takes the clip at place d mod n of the order of epoch d div n. So a run that goes on at some step sees
what an undisturbed one sees, whatever the number of loading processes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from auralsam2.audio.logmel import examples
from auralsam2.data.load import aligned, load, read_mask
from auralsam2.data.registry import open_dataset
from auralsam2.data.samples import LoadedClip, Sample
from auralsam2.data.stampavs.resound import describe, resound
from auralsam2.data.stampavs.splits import Pool
from auralsam2.errors import InputError
from auralsam2.training.augment import Augmentation
from auralsam2.training.cache import FeatureCache
from auralsam2.training.config import AugmentConfig
from auralsam2.training.recipe import DataConfig
from auralsam2.vision.preprocess import to_square

ORDER, CHANGES = 0, 1
"""What random numbers are for: the order of an epoch, the changes of a clip."""


class TrainingClip(NamedTuple):
    """A clip on the model's square.

    Attributes:
        draw: its number in the run; in validation, in the split.
        pixels: (T, 3, S, S) uint8 RGB; None where `maps` are known.
        log_mel: (T, 2, 96, 64) float32.
        labels: (T, S, S) bool.
        supervised: (T,) bool.
        expression: what to look for, where the data set says it.
        keys: of the pictures in the cache; None without one.
        maps: what the image encoder made of the pictures, from the cache.
        rivals: (T, S, S) bool, objects that keep silent, where they are asked for and the data set has them.
    """

    draw: int
    pixels: torch.Tensor | None
    log_mel: torch.Tensor
    labels: torch.Tensor
    supervised: torch.Tensor
    expression: str | None
    keys: tuple[str, ...] | None = None
    maps: tuple[torch.Tensor, ...] | None = None
    rivals: torch.Tensor | None = None


class TrainingClips(Dataset[TrainingClip]):
    """The clips of a split by draw number.

    Args:
        samples: of the split.
        size: S.
        frames: T; of longer clips a window of T frames is drawn.
        augment: random changes. They act on the square, so that frames and labels move alike.
        seed: of everything random.
        cache: of what the image encoder makes of the pictures.
        voices: what may sound where `augment.resound` draws anew.
        rivals: look for the objects that keep silent too.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        size: int,
        frames: int,
        augment: AugmentConfig,
        seed: int,
        cache: FeatureCache | None = None,
        voices: Pool | None = None,
        *,
        rivals: bool = False,
    ) -> None:
        self.samples, self.size, self.frames, self.augment, self.seed = samples, size, frames, augment, seed
        self.cache, self.voices, self.rivals = cache, voices, rivals
        self._order: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def place(self, draw: int) -> int:
        """Which of the samples a draw takes."""
        epoch, position = divmod(draw, len(self.samples))
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, np.random.default_rng((self.seed, ORDER, epoch)).permutation(len(self.samples))
        return int(self._order[1][position])

    def __getitem__(self, draw: int) -> TrainingClip:
        """Load a clip and change it.

        Raises:
            InputError: a file cannot be read.
        """
        random = np.random.default_rng((self.seed, CHANGES, draw))
        sample = self.samples[self.place(draw)]
        spare = len(sample.frames) - self.frames
        sample = window(sample, int(random.integers(spare + 1)) if spare > 0 else 0, self.frames)
        change = Augmentation.draw(self.augment, len(sample.frames), random)
        keys, maps = look_up(self.cache, sample, flip=change.flip)
        clip = load(sample, self.size, pictures=maps is None)
        # What an expression says of the sound holds for the sound it was made for.
        if self.voices is not None and sample.expression is None and random.random() < self.augment.resound:
            clip = heard_anew(clip, self.size, self.voices, random)
        quiet = silent_objects(clip, self.size) if self.rivals and sample.objects else None
        return TrainingClip(
            draw,
            pixels(clip, self.size, change) if maps is None else None,
            change.sound(clip.log_mel),
            torch.from_numpy(change.labels(clip.labels.numpy())),
            clip.supervised,
            sample.expression,
            keys,
            maps,
            None if quiet is None else torch.from_numpy(change.labels(quiet.numpy())),
        )


class ValidationClips(Dataset[TrainingClip]):
    """The clips of a split as they are.

    Args:
        samples: of the split.
        size: S.
        cache: as of `TrainingClips`.
    """

    def __init__(self, samples: Sequence[Sample], size: int, cache: FeatureCache | None = None) -> None:
        self.samples, self.size, self.cache = samples, size, cache

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> TrainingClip:
        sample = self.samples[number]
        keys, maps = look_up(self.cache, sample, flip=False)
        clip = load(sample, self.size, pictures=maps is None)
        seen = pixels(clip, self.size) if maps is None else None
        return TrainingClip(number, seen, clip.log_mel, clip.labels, clip.supervised, sample.expression, keys, maps)


class Draws(Sampler[int]):
    """The draw numbers of one process. It has no length: where it starts depends on the checkpoint.

    Args:
        first: of all processes together.
        end: the first number that is not drawn any more.
        rank, world: of the process.
    """

    def __init__(self, first: int, end: int, rank: int = 0, world: int = 1) -> None:
        self._numbers = range(first + rank, end, world)

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)


def pixels(clip: LoadedClip, size: int, change: Augmentation | None = None) -> torch.Tensor:
    """The frames on the model's square, changed where a change is given: (T, 3, S, S) uint8."""
    squares = torch.stack([to_square(frame, size) for frame in clip.frames])
    if change is None:
        return squares
    changed = change.frames(squares.permute(0, 2, 3, 1).contiguous().numpy())
    return torch.from_numpy(changed).permute(0, 3, 1, 2).contiguous()


def look_up(
    cache: FeatureCache | None, sample: Sample, *, flip: bool
) -> tuple[tuple[str, ...] | None, tuple[torch.Tensor, ...] | None]:
    """The keys of a sample's pictures and what the cache has of them."""
    if cache is None:
        return None, None
    keys = cache.keys(sample.frames, flip)
    return keys, cache.get(keys)


def heard_anew(clip: LoadedClip, size: int, voices: Pool, random: np.random.Generator) -> LoadedClip:
    """A scene of StampAVS with another sound, and the labels that go with it.

    Args:
        clip: as loaded, or a window of it.
        size: S.
        voices: what may sound.
        random: draws who does.

    Raises:
        InputError: a file of the scene cannot be read.
    """
    sample = clip.sample
    sounding = resound(describe(sample.frames[0].parent.parent), voices, random)
    first, frames = sample.first_example, len(sample.frames)
    labels = torch.zeros_like(clip.labels)
    for paths, heard in zip(sample.objects, sounding.sounding[:, first : first + frames], strict=True):
        for t in np.flatnonzero(heard):
            labels[t] |= read_mask(paths[t], size)
    log_mel = aligned(examples(torch.from_numpy(sounding.samples)), first, frames)
    return dataclasses.replace(clip, log_mel=log_mel, labels=labels)


def silent_objects(clip: LoadedClip, size: int) -> torch.Tensor:
    """(T, S, S) bool: pixels of objects that are no part of the label."""
    shown = torch.zeros_like(clip.labels)
    for paths in clip.sample.objects:
        for t, path in enumerate(paths):
            shown[t] |= read_mask(path, size)
    return shown & ~clip.labels


def window(sample: Sample, first: int, frames: int) -> Sample:
    """A part of a sample: at most so many frames, from `first` on."""
    if len(sample.frames) <= frames:
        return sample
    kept = slice(first, first + frames)
    return dataclasses.replace(
        sample,
        frames=sample.frames[kept],
        labels=sample.labels[kept],
        supervised=sample.supervised[kept],
        first_example=sample.first_example + first,
        objects=tuple(paths[kept] for paths in sample.objects),
    )


def loader(clips: Dataset[TrainingClip], draws: Sampler[int], workers: int) -> DataLoader[TrainingClip]:
    """Clips one by one, loaded ahead."""
    return DataLoader(
        clips,
        batch_size=None,
        sampler=draws,
        num_workers=workers,
        # Forking a process that runs threads of torch can hang.
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=workers > 0,
    )


def samples(data: DataConfig, split: str) -> list[Sample]:
    """The samples of a split of all data sets of the pool; without a label, a clip teaches nothing and is left out.

    Raises:
        AuralError: a data set or split is not there, or nothing in it can be used.
    """
    found = [
        sample
        for name in data.dataset.split("+")
        for part in split.split("+")
        for sample in open_dataset(name, data.root).listing(part).samples
        if any(sample.supervised)
    ]
    if not found:
        raise InputError(f"{data.root}: split {split} of {data.dataset} has no usable samples: auralsam2 data check")
    return found
