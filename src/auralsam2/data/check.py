"""Check every file of a split."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from auralsam2.data import classes
from auralsam2.data.audio import read_track
from auralsam2.data.base import DatasetReader, Kind, MissingError, Problem, PublishedCounts, SplitListing
from auralsam2.data.images import read_frame, read_grey, read_pixel_values
from auralsam2.data.sample import AudioMix, Coding, Sample
from auralsam2.errors import InputError, as_aural
from auralsam2.media.probe import probe
from auralsam2.modeling.log_mel import EXAMPLE_FRAMES, EXAMPLE_SAMPLES, HOP, WINDOW
from auralsam2.types import AUDIO_RATE

_MOST_WORKERS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitReport:
    """Result of checking a split.

    Attributes:
        split: its name.
        rows: lines of the csv.
        clips: different clips with all files.
        published: published numbers of rows and clips.
        samples: number of samples.
        usable: number of samples that are not left out.
        problems: all problems, by line of the csv.
    """

    split: str
    rows: int
    clips: int
    published: PublishedCounts
    samples: int
    usable: int
    problems: tuple[Problem, ...]


def check_split(
    reader: DatasetReader, listing: SplitListing, advance: Callable[[], None] = lambda: None
) -> SplitReport:
    """Open and check every file of a split.

    Args:
        reader: of the data set.
        listing: of the split.
        advance: called after each clip.
    """
    clips: dict[str, list[Sample]] = {}
    for sample in listing.samples:
        clips.setdefault(sample.clip, []).append(sample)
    problems = list(listing.problems)
    with ThreadPoolExecutor(min(_MOST_WORKERS, os.cpu_count() or 1)) as pool:
        for clip_problems in pool.map(lambda samples: _inspect(reader, samples), clips.values()):
            problems += clip_problems
            advance()
    published = reader.splits[listing.split]
    left_out = {problem.line for problem in problems if problem.excluded}
    problems.sort(key=lambda problem: problem.line or 0)
    counts = (("rows", listing.rows, published.rows), ("clips", len(clips), published.clips))
    return SplitReport(
        split=listing.split,
        rows=listing.rows,
        clips=len(clips),
        published=published,
        samples=listing.groups,
        usable=listing.groups - len(left_out),
        problems=(
            *(
                Problem(
                    kind="count",
                    message=f"{listing.split} has {count} {unit}, published are {expected}",
                    split=listing.split,
                    table=reader.table.path,
                )
                for unit, count, expected in counts
                if expected is not None and count != expected
            ),
            *problems,
        ),
    )


def _inspect(reader: DatasetReader, samples: list[Sample]) -> list[Problem]:
    """Check the samples of one clip; each file is opened once."""
    files = _Files()
    return [
        Problem(
            kind=kind,
            message=message,
            split=sample.split,
            table=reader.table.path,
            line=sample.line,
            id=sample.id,
            excluded=kind in ("missing", "unreadable"),
        )
        for sample in samples
        for kind, message in (
            *_check_images(sample, files, reader.frame_size),
            *_check_labels(sample, files),
            *_check_audio(sample, files),
        )
    ]


@dataclass(frozen=True, slots=True)
class _Picture:
    """Size of an image; for a label, also the number of pixels without a known class and whether it is empty."""

    size: tuple[int, int]
    unknown: int = 0
    empty: bool = False


@dataclass(frozen=True, slots=True)
class _Sound:
    """Channels, number of samples at 16 kHz, and times of damage in seconds of an audio file."""

    channels: int
    length: int
    damage: tuple[float, ...]


class _Files:
    """Opens each file once; an unreadable file gives its error as a value."""

    def __init__(self) -> None:
        self.frame = cache(_open_frame)
        self.label = cache(_open_label)
        self.sound = cache(_open_sound)


def _open_frame(path: Path) -> _Picture | InputError:
    try:
        image = read_frame(path)
    except Exception as error:
        return _as_input(error, path)
    return _Picture((image.shape[1], image.shape[0]))


def _open_label(path: Path, coding: Coding) -> _Picture | InputError:
    try:
        if coding in ("mask", "object"):
            pixels, unknown = read_grey(path), 0
        else:
            pixels, unknown = (
                classes.classes_from_colours(read_frame(path))
                if coding == "avss"
                else classes.classes_from_values(read_pixel_values(path))
            )
    except Exception as error:
        return _as_input(error, path)
    return _Picture((pixels.shape[1], pixels.shape[0]), unknown, not pixels.any())


def _open_sound(path: Path) -> _Sound | InputError:
    try:
        channels = probe(path).audio_channels
        track = read_track(path)
    except Exception as error:
        return _as_input(error, path)
    return _Sound(channels, track.length, track.damage)


def _as_input(error: Exception, path: Path) -> InputError:
    """Return the error of a file that could not be read."""
    if isinstance(error, InputError):
        return error
    return InputError(str(as_aural(error, path, memory="use fewer pixels or more memory")))


_Finding = tuple[Kind, str]


def _unreadable(path: Path, error: InputError) -> _Finding:
    return ("missing" if isinstance(error, MissingError) or not path.exists() else "unreadable"), str(error)


def _check_images(sample: Sample, files: _Files, expected: tuple[int, int] | None) -> Iterator[_Finding]:
    first = expected
    for path in sample.frames:
        opened = files.frame(path)
        if isinstance(opened, InputError):
            yield _unreadable(path, opened)
            continue
        first = first or opened.size
        if opened.size != first:
            yield (
                "size",
                f"{path}: {_times(opened.size)} pixels, {'all have' if expected else 'the first has'} {_times(first)}",
            )


def _check_labels(sample: Sample, files: _Files) -> Iterator[_Finding]:
    pairs = [(frame, path) for frame, paths in zip(sample.frames, sample.labels, strict=True) for path in paths]
    pairs += [pair for paths in sample.objects for pair in zip(sample.frames, paths, strict=True)]
    for frame, path in dict.fromkeys(pairs):
        opened, image = files.label(path, sample.coding), files.frame(frame)
        if isinstance(opened, InputError):
            yield _unreadable(path, opened)
            continue
        if not isinstance(image, InputError) and opened.size != image.size:
            yield "size", f"{path}: {_times(opened.size)} pixels, its frame has {_times(image.size)}"
        if opened.unknown:
            yield "label", f"{path}: {opened.unknown} pixels of no known class, they count as background"
        if sample.null and not opened.empty and any(path in paths for paths in sample.labels):
            yield "label", f"{path}: shows something, though the expression refers to nothing"


def _check_audio(sample: Sample, files: _Files) -> Iterator[_Finding]:
    for path in dict.fromkeys(sample.sounds):
        opened = files.sound(path)
        if isinstance(opened, InputError):
            yield _unreadable(path, opened)
            continue
        if opened.damage:
            yield "damaged", f"{path}: damaged at {', '.join(f'{time:.2f}' for time in opened.damage)} s"
        if isinstance(sample.audio, AudioMix):
            if not opened.length:
                yield "unreadable", f"{path}: no sound in it"
            continue  # each source is brought to one channel and three seconds
        if opened.channels == 1:
            yield "mono", f"{path}: one channel of sound, it is heard on both sides"
        needed = sample.first_example + len(sample.frames)
        examples = max(0, (opened.length - WINDOW) // HOP + 1) // EXAMPLE_FRAMES
        seconds = f"{opened.length / AUDIO_RATE:.3f} s of sound"
        if not examples:
            yield "unreadable", f"{path}: {seconds}, hearing takes {EXAMPLE_SAMPLES / AUDIO_RATE:g} at least"
        elif examples < needed:
            yield "short", f"{path}: {seconds} are {examples} of {needed} log-mel examples, the last one is repeated"


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
