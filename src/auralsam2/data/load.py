"""Load the files of a sample as tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from auralsam2.data import classes
from auralsam2.data.audio import read_sound
from auralsam2.data.images import read_frame, read_grey, read_pixel_values
from auralsam2.data.sample import LoadedClip, Sample
from auralsam2.errors import InputError, as_aural
from auralsam2.modeling.log_mel import BANDS, EXAMPLE_FRAMES, EXAMPLE_SAMPLES, log_mel_examples
from auralsam2.modeling.preprocess import label_to_square
from auralsam2.types import AUDIO_RATE


def load_clip(sample: Sample, size: int, *, pictures: bool = True, sound: bool = True) -> LoadedClip:
    """Load a sample.

    Each label file is resized to S x S by nearest neighbour before the union, as in AuralSAM2's evaluation. Frames keep
    their size.

    Args:
        sample: the sample.
        size: S, side of the labels in pixels.
        pictures: if False, the list of frames is empty.
        sound: if False, there are no log-mel examples.

    Raises:
        InputError: a file cannot be read; names the sample, its line in the csv, and the file.
    """
    log_mel = load_audio(sample) if sound else torch.zeros(0, 2, EXAMPLE_FRAMES, BANDS)
    with _named(sample):
        frames = [read_frame(path) for path in sample.frames] if pictures else []
        kinds = None
        if sample.coding == "mask":
            labels = torch.stack([_union([read_mask(path, size) for path in paths], size) for paths in sample.labels])
        else:
            kinds = torch.stack([read_classes(sample, paths, size) for paths in sample.labels])
            labels = (kinds > 0) & (kinds != classes.IGNORE)
    return LoadedClip(
        sample=sample,
        frames=frames,
        log_mel=log_mel,
        labels=labels,
        classes=kinds,
        supervised=torch.tensor(sample.supervised),
    )


def load_audio(sample: Sample) -> torch.Tensor:
    """Load the log-mel examples of a sample's frames: (T, 2, 96, 64).

    Raises:
        InputError: the audio cannot be read; see `load_clip`.
    """
    with _named(sample):
        return align_to_frames(_examples(sample), sample.first_example, len(sample.frames))


def read_mask(path: Path, size: int) -> torch.Tensor:
    """Read a binary label at the model's input size.

    Args:
        path: the file.
        size: S.

    Returns:
        (S, S) bool.

    Raises:
        InputError: the file cannot be read.
    """
    return label_to_square(read_grey(path), size)


def read_classes(sample: Sample, paths: tuple[Path, ...], size: int) -> torch.Tensor:
    """Read the semantic label of a frame at the model's input size; later files cover earlier ones.

    Args:
        sample: defines the coding of pixels.
        paths: label files of the frame.
        size: S.

    Returns:
        (S, S) uint8.

    Raises:
        InputError: a file cannot be read.
    """
    label = np.zeros((size, size), dtype=np.uint8)
    if sample.coding == "object":
        for files, number in zip(sample.objects, sample.object_classes, strict=True):
            for path in set(files).intersection(paths):
                label[read_mask(path, size).numpy()] = number
        return torch.from_numpy(label)
    for path in paths:
        pixels = read_frame(path) if sample.coding == "avss" else read_pixel_values(path)
        square = np.array(Image.fromarray(pixels).resize((size, size), Image.Resampling.NEAREST))
        numbers, _ = (
            classes.classes_from_colours(square) if sample.coding == "avss" else classes.classes_from_values(square)
        )
        label = np.where(numbers > 0, numbers, label)
    return torch.from_numpy(label)


def align_to_frames(log_mel: torch.Tensor, first: int, frames: int) -> torch.Tensor:
    """Select one log-mel example per frame; the last one is repeated if there are too few.

    Clips of slightly less than ten seconds have nine examples.

    Args:
        log_mel: (N, 2, 96, 64), N at least 1.
        first: index of the first frame's example.
        frames: T.

    Returns:
        (T, 2, 96, 64).
    """
    return log_mel[torch.arange(first, first + frames).clamp_max(len(log_mel) - 1)]


@contextmanager
def _named(sample: Sample) -> Iterator[None]:
    """Prefix errors with the sample.

    Raises:
        InputError: a file cannot be read.
        AuralError: any other exception; see `as_aural`.
    """
    try:
        yield
    except Exception as error:
        name = f"{sample.dataset} {sample.id}" + ("" if sample.line is None else f", line {sample.line} of the csv")
        known = as_aural(error, memory="use fewer pixels or more memory")
        raise type(known)(f"{name}: {known}") from error


def _examples(sample: Sample) -> torch.Tensor:
    sound = read_sound(sample)
    if len(sound) < EXAMPLE_SAMPLES:
        seconds, least = len(sound) / AUDIO_RATE, EXAMPLE_SAMPLES / AUDIO_RATE
        raise InputError(f"{sample.sounds[0]}: {seconds:.3f} s of sound, hearing takes {least:g} at least")
    return log_mel_examples(torch.from_numpy(sound))


def _union(masks: list[torch.Tensor], size: int) -> torch.Tensor:
    union = torch.zeros((size, size), dtype=torch.bool)
    for mask in masks:
        union |= mask
    return union
