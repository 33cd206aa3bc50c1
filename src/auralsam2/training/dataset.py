"""Clips for training and validation. What a clip becomes depends on the seed and its number alone.

Draw number d takes the clip at place d mod n of the order of epoch d div n. So a run that goes on at some step sees
what an undisturbed one sees, whatever the number of loading processes.
"""

from __future__ import annotations

import dataclasses
import signal
import sys
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from auralsam2.data.load import align_to_frames, load_audio, load_clip, read_mask
from auralsam2.data.registry import open_dataset
from auralsam2.data.sample import LoadedClip, Sample
from auralsam2.errors import InputError
from auralsam2.modeling.log_mel import log_mel_examples
from auralsam2.modeling.preprocess import to_square
from auralsam2.stampavs.remix import read_scene, remix_audio
from auralsam2.stampavs.splits import AssetPool
from auralsam2.training.augment import Augmentation
from auralsam2.training.config import AugmentConfig
from auralsam2.training.feature_disk_cache import FeatureDiskCache
from auralsam2.training.recipe import DataConfig

ORDER, CHANGES = 0, 1
"""What random numbers are for: the order of an epoch, the changes of a clip."""


class TrainingClip(NamedTuple):
    """A clip on the model's square.

    Attributes:
        draw: its number in the run; in validation, in the split.
        pixels: (T, 3, S, S) uint8 RGB; None where `maps` are known.
        log_mel: (N, 2, 96, 64) float32, N >= T.
        labels: (T, S, S) bool.
        supervised: (T,) bool.
        expression: what to look for, where the data set says it.
        keys: of the pictures in the cache; None without one.
        maps: what the image encoder made of the pictures, from the cache.
        seconds: of the N examples of `log_mel`, those of the T frames; None: the first T.
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
    seconds: tuple[int, ...] | None = None
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
        voices: what may sound where `augment.remix_audio` remixes.
        frames_per_clip: number of random frames of the window, with the audio of all; None for all frames.
        rivals: look for the objects that keep silent too.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        size: int,
        frames: int,
        augment: AugmentConfig,
        seed: int,
        cache: FeatureDiskCache | None = None,
        voices: AssetPool | None = None,
        *,
        frames_per_clip: int | None = None,
        rivals: bool = False,
    ) -> None:
        self.samples, self.size, self.frames, self.augment, self.seed = samples, size, frames, augment, seed
        self.cache, self.voices, self.frames_per_clip, self.rivals = cache, voices, frames_per_clip, rivals
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
        whole = audio_window(sample, int(random.integers(spare + 1)) if spare > 0 else 0, self.frames)
        seconds = None
        if self.frames_per_clip is not None and self.frames_per_clip < len(whole.frames):
            seconds = sorted(random.choice(len(whole.frames), self.frames_per_clip, replace=False).tolist())
        sample = whole if seconds is None else crop_frames(whole, seconds)
        change = Augmentation.draw(self.augment, len(sample.frames), random)
        keys, maps = look_up(self.cache, sample, flip=change.flip)
        # What an expression says of the sound holds for the sound it was made for.
        anew = self.voices is not None and sample.expression is None and random.random() < self.augment.remix_audio
        clip = load_clip(sample, self.size, pictures=maps is None, sound=False)
        objects = object_masks(sample, self.size) if sample.objects and (anew or self.rivals) else None
        if anew:
            assert self.voices is not None
            assert objects is not None, "a scene of StampAVS knows its objects"
            log_mel, heard = remix_sample(whole, self.voices, random, self.augment.unseen_voice_prob)
            labels = (objects & heard[:, seconds or slice(None), None, None]).any(0)
        else:
            log_mel, labels = load_audio(whole), clip.labels
        quiet = objects.any(0) & ~labels if self.rivals and objects is not None else None
        return TrainingClip(
            draw,
            clip_pixels(clip, self.size, change) if maps is None else None,
            change.sound(log_mel),
            torch.from_numpy(change.labels(labels.numpy())),
            clip.supervised,
            sample.expression,
            keys,
            maps,
            None if seconds is None else tuple(seconds),
            None if quiet is None else torch.from_numpy(change.labels(quiet.numpy())),
        )


class ValidationClips(Dataset[TrainingClip]):
    """The clips of a split as they are.

    Args:
        samples: of the split.
        size: S.
        cache: as of `TrainingClips`.
    """

    def __init__(self, samples: Sequence[Sample], size: int, cache: FeatureDiskCache | None = None) -> None:
        self.samples, self.size, self.cache = samples, size, cache

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> TrainingClip:
        sample = self.samples[number]
        keys, maps = look_up(self.cache, sample, flip=False)
        clip = load_clip(sample, self.size, pictures=maps is None)
        seen = clip_pixels(clip, self.size) if maps is None else None
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


def clip_pixels(clip: LoadedClip, size: int, change: Augmentation | None = None) -> torch.Tensor:
    """The frames on the model's square, changed where a change is given: (T, 3, S, S) uint8."""
    squares = torch.stack([to_square(frame, size) for frame in clip.frames])
    if change is None:
        return squares
    changed = change.frames(squares.permute(0, 2, 3, 1).contiguous().numpy())
    return torch.from_numpy(changed).permute(0, 3, 1, 2).contiguous()


def look_up(
    cache: FeatureDiskCache | None, sample: Sample, *, flip: bool
) -> tuple[tuple[str, ...] | None, tuple[torch.Tensor, ...] | None]:
    """The keys of a sample's pictures and what the cache has of them."""
    if cache is None:
        return None, None
    keys = cache.keys(sample.frames, flip)
    return keys, cache.get(keys)


def remix_sample(
    sample: Sample, voices: AssetPool, random: np.random.Generator, unseen_voice_prob: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Another sound for a scene of StampAVS.

    Args:
        sample: of the scene, or a window of it, of T frames.
        voices: what may sound.
        random: draws who does.
        unseen_voice_prob: probability of recordings of categories absent from the images.

    Returns:
        (T, 2, 96, 64), what is heard, and (n, T) bool, which of the n objects in which second.

    Raises:
        InputError: a file of the scene cannot be read.
    """
    sounding = remix_audio(read_scene(sample.frames[0].parent.parent), voices, random, unseen_voice_prob)
    first, frames = sample.first_example, len(sample.frames)
    log_mel = align_to_frames(log_mel_examples(torch.from_numpy(sounding.samples)), first, frames)
    return log_mel, torch.from_numpy(sounding.sounding[:, first : first + frames])


def object_masks(sample: Sample, size: int) -> torch.Tensor:
    """(n, T, S, S) bool: where the n objects of a sample are, heard or not.

    Raises:
        InputError: a file cannot be read.
    """
    return torch.stack([torch.stack([read_mask(path, size) for path in paths]) for paths in sample.objects])


def crop_frames(sample: Sample, kept: Sequence[int]) -> Sample:
    """A sample of some of its frames alone; its sound is no longer theirs."""
    return dataclasses.replace(
        sample,
        frames=tuple(sample.frames[t] for t in kept),
        labels=tuple(sample.labels[t] for t in kept),
        supervised=tuple(sample.supervised[t] for t in kept),
        objects=tuple(tuple(paths[t] for t in kept) for paths in sample.objects),
    )


def audio_window(sample: Sample, first: int, frames: int) -> Sample:
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


def build_loader(clips: Dataset[TrainingClip], draws: Sampler[int], workers: int) -> DataLoader[TrainingClip]:
    """Clips one by one, loaded ahead."""
    return DataLoader(
        clips,
        batch_size=None,
        sampler=draws,
        num_workers=workers,
        # Forking a process that runs threads of torch can hang.
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=workers > 0,
        worker_init_fn=_start_worker if workers else None,
    )


def _start_worker(_number: int) -> None:
    """Prepare a worker process: it leaves Ctrl-C and SIGHUP to its parent, and ends without a word when that stops."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    show = sys.excepthook

    def show_unless_disconnected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        # The thread of multiprocessing that shares tensors reports a parent that stops while it fetches one.
        if not isinstance(error, ConnectionError | EOFError):
            show(kind, error, trace)

    sys.excepthook = show_unless_disconnected


def training_samples(data: DataConfig, split: str) -> list[Sample]:
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
