"""Recordings in the layout of RealAVS, beside those of stamps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from auralsam2.errors import InputError
from auralsam2.stampavs.assets import Category, Recording
from auralsam2.stampavs.audio import read_recording
from auralsam2.stampavs.photographs import SourceFile, read_sounds
from auralsam2.stampavs.splits import AssetPool


@dataclass(frozen=True, kw_only=True)
class RecordingFolder:
    """Recordings of one split.

    Attributes:
        kinds: recordings by kind, in alphabetical order.
        noises: recordings without a visible source.
    """

    kinds: dict[str, tuple[Recording, ...]]
    noises: tuple[Recording, ...]


def read_recordings(
    folder: Path, split: Literal["train", "test"], excluded: frozenset[str] = frozenset()
) -> RecordingFolder:
    """Read the usable recordings of a folder in the layout of RealAVS; "test" has those marked as held out.

    Raises:
        InputError: `sounds.csv` is missing or damaged, or no recording is usable.
    """
    sounds, noises = read_sounds(folder, split, excluded)
    kinds: dict[str, list[Recording]] = defaultdict(list)
    for sound, recording in _usable(sounds):
        kinds[sound.category].append(recording)
    if not kinds:
        raise InputError(f"{folder}: sounds.csv has no usable recording of the split {split!r}")
    return RecordingFolder(
        kinds={name: tuple(items) for name, items in sorted(kinds.items())},
        noises=tuple(recording for _, recording in _usable(noises)),
    )


def add_recordings(categories: Sequence[Category], folder: RecordingFolder) -> tuple[Category, ...]:
    """Add the recordings of a folder to categories of their names; other kinds become categories without images."""
    named = {category.name: category for category in categories}
    added = [
        replace(category, recordings=(*category.recordings, *folder.kinds.get(category.name, ())))
        for category in categories
    ]
    added += [
        Category(name=name, group="", verb="", pictures=(), recordings=recordings)
        for name, recordings in folder.kinds.items()
        if name not in named
    ]
    return tuple(added)


def extend_pool(pool: AssetPool, folder: RecordingFolder) -> AssetPool:
    """Add the recordings of a folder to the sounding categories of a pool; other kinds are left out."""
    known = {category.name for category in pool.targets}
    return replace(pool, targets=tuple(one for one in add_recordings(pool.targets, folder) if one.name in known))


def _usable(files: Sequence[SourceFile]) -> list[tuple[SourceFile, Recording]]:
    usable = []
    for file in files:
        try:
            read_recording(file.path)
        except InputError:
            continue
        usable.append((file, Recording(key=file.path.stem, path=file.path)))
    return usable
