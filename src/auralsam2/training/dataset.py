"""Clips for training and validation; each depends on the seed and its draw number alone.

Draw d takes the clip at position d mod n in the order of epoch d div n. So a resumed run sees the same clips as an
uninterrupted one, with any number of loader processes.
"""

from __future__ import annotations

import dataclasses
import signal
import sys
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, NamedTuple

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
"""Uses of random numbers: order of an epoch, augmentation of a clip."""


class TrainingClip(NamedTuple):
    """A clip at the model's input size.

    Attributes:
        draw: number in the run; in validation, in the split.
        pixels: (T, 3, S, S) uint8 RGB; None if `maps` are known.
        log_mel: (N, 2, 96, 64) float32, N >= T.
        labels: (T, S, S) bool.
        supervised: (T,) bool.
        expression: referring expression, if the data set has one.
        keys: cache keys of the frames; None without a cache.
        maps: output of the image encoder, from the cache.
        seconds: indices of the T frames among the N examples of `log_mel`; None for the first T.
        rivals: (T, S, S) bool, silent objects, if requested and known.
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


def join_clips(clips: Sequence[TrainingClip]) -> TrainingClip:
    """Join clips of independent frames, with maps and without an expression, into one clip of all their frames.

    Sums over the frames of the result equal the sums over the clips. Clips without known rivals get empty masks of
    them. The draw is that of the first clip, the cache keys are dropped.
    """
    audio = [clip.log_mel[list(clip.seconds or range(len(clip.labels)))] for clip in clips]
    maps = zip(*(clip.maps for clip in clips if clip.maps is not None), strict=True)
    rivals = None
    if any(clip.rivals is not None for clip in clips):
        rivals = torch.cat([torch.zeros_like(clip.labels) if clip.rivals is None else clip.rivals for clip in clips])
    return TrainingClip(
        clips[0].draw,
        None,
        torch.cat(audio),
        torch.cat([clip.labels for clip in clips]),
        torch.cat([clip.supervised for clip in clips]),
        None,
        maps=tuple(torch.cat(level) for level in maps),
        rivals=rivals,
    )


class EpochOrder:
    """Order of the samples in each epoch.

    Args:
        count: number of samples, and length of an epoch.
        seed: numbers that determine the random orders, with that of the epoch; None to keep the order of the samples.
    """

    def __init__(self, count: int, seed: tuple[int, ...] | None) -> None:
        self.count, self.seed = count, seed
        self._epoch: tuple[int, np.ndarray] | None = None

    def __getitem__(self, draw: int) -> int:
        """Return the index of a draw's sample."""
        epoch, position = divmod(draw, self.count)
        if self.seed is None:
            return position
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, np.random.default_rng((*self.seed, epoch)).permutation(self.count)
        return int(self._epoch[1][position])


class TrainingClips(Dataset[TrainingClip]):
    """Clips of a split by draw number.

    Args:
        samples: of the split.
        size: S.
        frames: T; a window of T frames is drawn from longer clips.
        augment: augmentation, applied at size S, so that frames and labels move together.
        seed: seed of all random numbers.
        cache: of the image encoder's output.
        voices: recordings for `augment.remix_audio`.
        more_voices: recordings for half of the remixed audio; None for `voices`.
        frames_per_clip: number of random frames of the window, with the audio of all; None for all frames.
        rivals: also load the silent objects.
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
        more_voices: AssetPool | None = None,
        frames_per_clip: int | None = None,
        rivals: bool = False,
    ) -> None:
        self.samples, self.size, self.frames, self.augment, self.seed = samples, size, frames, augment, seed
        self.cache, self.voices, self.frames_per_clip, self.rivals = cache, voices, frames_per_clip, rivals
        self.more_voices = more_voices
        self.order = EpochOrder(len(samples), (seed, ORDER))
        """Index of the sample of each draw."""

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, draw: int) -> TrainingClip:
        """Load and augment a clip.

        Raises:
            InputError: a file cannot be read.
        """
        random = np.random.default_rng((self.seed, CHANGES, draw))
        sample = self.samples[self.order[draw]]
        spare = len(sample.frames) - self.frames
        window = audio_window(sample, int(random.integers(spare + 1)) if spare > 0 else 0, self.frames)
        seconds = None
        if self.frames_per_clip is not None and self.frames_per_clip < len(window.frames):
            seconds = sorted(random.choice(len(window.frames), self.frames_per_clip, replace=False).tolist())
        sample = window if seconds is None else crop_frames(window, seconds)
        change = Augmentation.draw(self.augment, len(sample.frames), random)
        keys, maps = look_up(self.cache, sample, flip=change.flip)
        # An expression describes the original audio.
        remixes = self.voices is not None and sample.expression is None and random.random() < self.augment.remix_audio
        clip = load_clip(sample, self.size, pictures=maps is None, sound=False)
        objects = object_masks(sample, self.size) if sample.objects and (remixes or self.rivals) else None
        if remixes:
            assert self.voices is not None
            assert objects is not None, "StampAVS scenes have object masks"
            voices = self.voices
            if self.more_voices is not None and random.random() < 0.5:
                voices = self.more_voices
            log_mel, audible = remix_sample(window, voices, random, self.augment.unseen_voice_prob)
            labels = (objects & audible[:, seconds or slice(None), None, None]).any(0)
        else:
            log_mel, labels = load_audio(window), clip.labels
        silent = objects.any(0) & ~labels if self.rivals and objects is not None else None
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
            None if silent is None else torch.from_numpy(change.labels(silent.numpy())),
        )


class ValidationClips(Dataset[TrainingClip]):
    """Clips of a split without augmentation.

    Args:
        samples: of the split.
        size: S.
        cache: of the image encoder's output.
    """

    def __init__(self, samples: Sequence[Sample], size: int, cache: FeatureDiskCache | None = None) -> None:
        self.samples, self.size, self.cache = samples, size, cache

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> TrainingClip:
        sample = self.samples[number]
        keys, maps = look_up(self.cache, sample, flip=False)
        clip = load_clip(sample, self.size, pictures=maps is None)
        pixels = clip_pixels(clip, self.size) if maps is None else None
        return TrainingClip(number, pixels, clip.log_mel, clip.labels, clip.supervised, sample.expression, keys, maps)


class Draws(Sampler[int]):
    """Draw numbers of one process; without length, as the first depends on the checkpoint.

    Args:
        first: first draw of all processes.
        end: end of the draws, exclusive.
        rank, world: rank of the process and number of processes.
    """

    def __init__(self, first: int, end: int, rank: int = 0, world: int = 1) -> None:
        self._numbers = range(first + rank, end, world)

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)


def clip_pixels(clip: LoadedClip, size: int, change: Augmentation | None = None) -> torch.Tensor:
    """Resize the frames to the model's input size and augment them: (T, 3, S, S) uint8."""
    squares = torch.stack([to_square(frame, size) for frame in clip.frames])
    if change is None:
        return squares
    changed = change.frames(squares.permute(0, 2, 3, 1).contiguous().numpy())
    return torch.from_numpy(changed).permute(0, 3, 1, 2).contiguous()


def look_up(
    cache: FeatureDiskCache | None, sample: Sample, *, flip: bool
) -> tuple[tuple[str, ...] | None, tuple[torch.Tensor, ...] | None]:
    """Return the cache keys of a sample's frames, and their maps if all are cached."""
    if cache is None:
        return None, None
    keys = cache.keys(sample.frames, flip)
    return keys, cache.get(keys)


def remix_sample(
    sample: Sample, voices: AssetPool, random: np.random.Generator, unseen_voice_prob: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compose new audio for a StampAVS scene.

    Args:
        sample: the scene, or a window of T of its frames.
        voices: recordings.
        random: draws the sources.
        unseen_voice_prob: probability of recordings of categories absent from the images.

    Returns:
        (T, 2, 96, 64), log-mel examples, and (n, T) bool, seconds in which each of the n objects is audible.

    Raises:
        InputError: a file of the scene cannot be read.
    """
    sounding = remix_audio(read_scene(sample.frames[0].parent.parent), voices, random, unseen_voice_prob)
    first, frames = sample.first_example, len(sample.frames)
    log_mel = align_to_frames(log_mel_examples(torch.from_numpy(sounding.samples)), first, frames)
    return log_mel, torch.from_numpy(sounding.sounding[:, first : first + frames])


def object_masks(sample: Sample, size: int) -> torch.Tensor:
    """Read the masks of all n objects of a sample, audible or not: (n, T, S, S) bool.

    Raises:
        InputError: a file cannot be read.
    """
    return torch.stack([torch.stack([read_mask(path, size) for path in paths]) for paths in sample.objects])


def crop_frames(sample: Sample, indices: Sequence[int]) -> Sample:
    """Select frames of a sample; its audio no longer matches them."""
    return dataclasses.replace(
        sample,
        frames=tuple(sample.frames[t] for t in indices),
        labels=tuple(sample.labels[t] for t in indices),
        supervised=tuple(sample.supervised[t] for t in indices),
        objects=tuple(tuple(paths[t] for t in indices) for paths in sample.objects),
    )


def audio_window(sample: Sample, first: int, frames: int) -> Sample:
    """Select at most `frames` frames of a sample, from `first` on."""
    if len(sample.frames) <= frames:
        return sample
    window = slice(first, first + frames)
    return dataclasses.replace(
        sample,
        frames=sample.frames[window],
        labels=sample.labels[window],
        supervised=sample.supervised[window],
        first_example=sample.first_example + first,
        objects=tuple(paths[window] for paths in sample.objects),
    )


def build_loader(
    clips: Dataset[Any], draws: Sampler[int], workers: int, together: int | None = None
) -> DataLoader[Any]:
    """Build a loader of single clips, or of lists of `together` clips, prefetched."""
    return DataLoader(
        clips,
        batch_size=together,
        collate_fn=None if together is None else list,
        sampler=draws,
        num_workers=workers,
        # A fork of a process with torch threads can hang.
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=workers > 0,
        worker_init_fn=_start_worker if workers else None,
    )


def _start_worker(_number: int) -> None:
    """Prepare a worker process: ignore Ctrl-C and SIGHUP, and end silently when the parent ends."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    show = sys.excepthook

    def show_unless_disconnected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        # The tensor-sharing thread of multiprocessing reports a parent that ends while fetching a tensor.
        if not isinstance(error, ConnectionError | EOFError):
            show(kind, error, trace)

    sys.excepthook = show_unless_disconnected


def training_samples(data: DataConfig, split: str) -> list[Sample]:
    """List the samples with a label in a split of all data sets of the pool.

    Raises:
        AuralError: a data set or split is missing, or has no usable sample.
    """
    samples = [
        sample
        for name in data.dataset.split("+")
        for part in split.split("+")
        for sample in open_dataset(name, data.root).listing(part).samples
        if any(sample.supervised)
    ]
    if not samples:
        raise InputError(f"{data.root}: split {split} of {data.dataset} has no usable samples: auralsam2 data check")
    return samples


def validation_samples(data: DataConfig) -> list[Sample]:
    """List the validation samples: `data.validation_clips` of the pool, evenly spaced, so that each part is validated.

    Raises:
        AuralError: a data set or the split is missing, or has no usable sample.
    """
    samples = training_samples(data, data.validation)
    count = min(len(samples), data.validation_clips or len(samples))
    return [samples[number * len(samples) // count] for number in range(count)]
