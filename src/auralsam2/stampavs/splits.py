"""Splits by object: the categories, images and recordings of each split.

Whole categories, single images and single recordings are held out. The splits of the Debian package were drawn once,
with seed 0, and are stored in `splits.json`; those of other folders are drawn when needed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from auralsam2.errors import InputError
from auralsam2.stampavs.assets import AssetCollection, Category, StampImage

SPLITS = (
    "train",
    "val",
    "test-seen",
    "test-new-image",
    "test-new-sound",
    "test-unseen",
    "test-null",
    "test-robust",
)
FILE = Path(__file__).parent / "splits.json"

_UNSEEN_PART = 0.2
_SILENT_PART = 0.35


@dataclass(frozen=True, kw_only=True)
class SplitAssets:
    """Assets held out of training.

    Attributes:
        categories: names of the categories that sound in test-unseen only.
        pictures: keys of images of trained categories, the targets of test-new-image.
        recordings: keys of recordings of trained categories, the sounds of test-new-sound.
        silent: keys of images without recording, in test-new-image and test-unseen only.
    """

    categories: tuple[str, ...]
    pictures: tuple[str, ...]
    recordings: tuple[str, ...]
    silent: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AssetPool:
    """Assets of the scenes of a split.

    Attributes:
        targets: categories that may sound, with the images and recordings of this split.
        distractors: categories that are visible but silent.
        silent: images of objects without recording.
    """

    targets: tuple[Category, ...]
    distractors: tuple[Category, ...]
    silent: tuple[StampImage, ...]


def draw_splits(collection: AssetCollection, seed: int) -> SplitAssets:
    """Draw the assets held out of training.

    A fifth of the categories, evenly over the groups, those with the fewest files first; one image and one recording of
    each trained category with several; a third of the images without recording.
    """
    rng = np.random.default_rng([seed, 1])
    names = list(collection.categories)
    rng.shuffle(names)

    def file_count(name: str) -> int:
        category = collection.categories[name]
        return len(category.pictures) + len(category.recordings)

    by_group: dict[str, list[str]] = {}
    for name in sorted(names, key=file_count):  # stable: random order among equal numbers of files
        by_group.setdefault(collection.categories[name].group, []).append(name)
    unseen: set[str] = set()
    for group in by_group.values():
        unseen.update(group[: max(1, round(_UNSEEN_PART * len(group)))])
    pictures, recordings = [], []
    for name, category in collection.categories.items():
        if name not in unseen:
            for items, keys in ((category.pictures, pictures), (category.recordings, recordings)):
                if len(items) > 1:
                    keys.append(items[int(rng.integers(len(items)))].key)
    silent = [picture.key for picture in collection.silent]
    rng.shuffle(silent)
    return SplitAssets(
        categories=tuple(sorted(unseen)),
        pictures=tuple(pictures),
        recordings=tuple(recordings),
        silent=tuple(sorted(silent[: round(_SILENT_PART * len(silent))])),
    )


def read_splits(path: Path = FILE) -> SplitAssets:
    """Read the committed splits of the Debian package."""
    members = json.loads(path.read_text(encoding="utf-8"))
    return SplitAssets(**{name: tuple(members[name]) for name in ("categories", "pictures", "recordings", "silent")})


def split_assets(collection: AssetCollection, seed: int) -> SplitAssets:
    """Return the committed splits for the Debian package, else drawn ones."""
    return read_splits() if collection.is_package else draw_splits(collection, seed)


def asset_pool(collection: AssetCollection, held_out: SplitAssets, split: str) -> AssetPool:
    """Return the assets of the scenes of a split.

    Raises:
        InputError: the folder has no assets for this split, such as a second image of one object.
    """
    trained = _select_categories(
        collection, lambda name: name not in held_out.categories, held_out.pictures, held_out.recordings
    )
    silent = tuple(picture for picture in collection.silent if picture.key not in held_out.silent)
    held_out_silent = tuple(picture for picture in collection.silent if picture.key in held_out.silent)
    if split == "test-unseen":
        targets = _select_categories(collection, lambda name: name in held_out.categories)
        pool = AssetPool(targets=targets, distractors=(*targets, *trained), silent=held_out_silent)
    elif split == "test-new-image":
        targets = tuple(
            replace(category, pictures=new)
            for category in trained
            if (new := _with_keys(collection.categories[category.name].pictures, held_out.pictures))
        )
        pool = AssetPool(targets=targets, distractors=(*targets, *trained), silent=held_out_silent)
    elif split == "test-new-sound":
        targets = tuple(
            replace(category, recordings=new)
            for category in trained
            if (new := _with_keys(collection.categories[category.name].recordings, held_out.recordings))
        )
        pool = AssetPool(targets=targets, distractors=trained, silent=silent)
    else:
        pool = AssetPool(targets=trained, distractors=trained, silent=silent)
    if not pool.targets:
        raise InputError(f"{split}: the stamps have nothing that training leaves for it")
    return pool


def possible_splits(collection: AssetCollection, held_out: SplitAssets) -> tuple[str, ...]:
    """Return the splits for which a collection has assets."""
    without = {
        "test-unseen": not held_out.categories,
        "test-new-image": not held_out.pictures,
        "test-new-sound": not held_out.recordings,
    }
    return tuple(split for split in SPLITS if not without.get(split, False))


def _select_categories(collection: AssetCollection, is_selected, pictures=(), recordings=()) -> tuple[Category, ...]:
    return tuple(
        replace(
            category,
            pictures=tuple(picture for picture in category.pictures if picture.key not in pictures),
            recordings=tuple(recording for recording in category.recordings if recording.key not in recordings),
        )
        for name, category in collection.categories.items()
        if is_selected(name)
    )


def _with_keys(items, keys):
    return tuple(item for item in items if item.key in keys)
