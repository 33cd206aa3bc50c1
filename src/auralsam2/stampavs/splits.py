"""Which things may sound, and which may stand beside them, in each split.

Splits are drawn by object: whole categories, single pictures, single recordings. For the Debian package they were drawn
once, with seed 0, and lie in `splits.json`; for any other folder they are drawn when they are needed.
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
    """What training never meets; everything else, it does.

    Attributes:
        categories: names of the categories that sound in test-unseen only.
        pictures: keys of pictures of trained categories, the targets of test-new-image.
        recordings: keys of recordings of trained categories, the sounds of test-new-sound.
        silent: keys of pictures without sound that stand beside in test-new-image and test-unseen.
    """

    categories: tuple[str, ...]
    pictures: tuple[str, ...]
    recordings: tuple[str, ...]
    silent: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AssetPool:
    """What the scenes of a split are made of.

    Attributes:
        targets: categories that may sound, each with the pictures and recordings of this split.
        others: categories that are only seen, silent.
        silent: pictures of things that have no sound at all.
    """

    targets: tuple[Category, ...]
    others: tuple[Category, ...]
    silent: tuple[StampImage, ...]


def draw_splits(collection: AssetCollection, seed: int) -> SplitAssets:
    """Draw what training shall not meet.

    A fifth of the categories, evenly over the groups and before all those with one picture and one recording; one
    picture of each trained category that has several, and one recording likewise; a third of the silent pictures.
    """
    rng = np.random.default_rng([seed, 1])
    names = list(collection.categories)
    rng.shuffle(names)

    def riches(name: str) -> int:
        category = collection.categories[name]
        return len(category.pictures) + len(category.recordings)

    by_group: dict[str, list[str]] = {}
    for name in sorted(names, key=riches):  # stable: the order drawn, within as many files
        by_group.setdefault(collection.categories[name].group, []).append(name)
    unseen: set[str] = set()
    for group in by_group.values():
        unseen.update(group[: max(1, round(_UNSEEN_PART * len(group)))])
    pictures, recordings = [], []
    for name, category in collection.categories.items():
        if name not in unseen:
            for items, held in ((category.pictures, pictures), (category.recordings, recordings)):
                if len(items) > 1:
                    held.append(items[int(rng.integers(len(items)))].key)
    silent = [picture.key for picture in collection.silent]
    rng.shuffle(silent)
    return SplitAssets(
        categories=tuple(sorted(unseen)),
        pictures=tuple(pictures),
        recordings=tuple(recordings),
        silent=tuple(sorted(silent[: round(_SILENT_PART * len(silent))])),
    )


def read_splits(path: Path = FILE) -> SplitAssets:
    """The splits that are committed for the Debian package."""
    members = json.loads(path.read_text(encoding="utf-8"))
    return SplitAssets(**{name: tuple(members[name]) for name in ("categories", "pictures", "recordings", "silent")})


def split_assets(collection: AssetCollection, seed: int) -> SplitAssets:
    """The committed splits for the Debian package, drawn ones for any other folder."""
    return read_splits() if collection.known else draw_splits(collection, seed)


def asset_pool(collection: AssetCollection, held: SplitAssets, split: str) -> AssetPool:
    """What the scenes of a split are made of.

    Raises:
        InputError: the folder has nothing for this split, such as a second picture of one thing.
    """
    trained = _choose(collection, lambda name: name not in held.categories, held.pictures, held.recordings)
    silent = tuple(picture for picture in collection.silent if picture.key not in held.silent)
    fresh = tuple(picture for picture in collection.silent if picture.key in held.silent)
    if split == "test-unseen":
        targets = _choose(collection, lambda name: name in held.categories)
        found = AssetPool(targets=targets, others=(*targets, *trained), silent=fresh)
    elif split == "test-new-image":
        targets = tuple(
            replace(category, pictures=new)
            for category in trained
            if (new := _among(collection.categories[category.name].pictures, held.pictures))
        )
        found = AssetPool(targets=targets, others=(*targets, *trained), silent=fresh)
    elif split == "test-new-sound":
        targets = tuple(
            replace(category, recordings=new)
            for category in trained
            if (new := _among(collection.categories[category.name].recordings, held.recordings))
        )
        found = AssetPool(targets=targets, others=trained, silent=silent)
    else:
        found = AssetPool(targets=trained, others=trained, silent=silent)
    if not found.targets:
        raise InputError(f"{split}: the stamps have nothing that training leaves for it")
    return found


def possible_clips(collection: AssetCollection, held: SplitAssets) -> tuple[str, ...]:
    """The splits that a collection has material for."""
    without = {
        "test-unseen": not held.categories,
        "test-new-image": not held.pictures,
        "test-new-sound": not held.recordings,
    }
    return tuple(split for split in SPLITS if not without.get(split, False))


def _choose(collection: AssetCollection, wanted, pictures=(), recordings=()) -> tuple[Category, ...]:
    """Categories by name, without some of their pictures and recordings."""
    return tuple(
        replace(
            category,
            pictures=tuple(picture for picture in category.pictures if picture.key not in pictures),
            recordings=tuple(recording for recording in category.recordings if recording.key not in recordings),
        )
        for name, category in collection.categories.items()
        if wanted(name)
    )


def _among(items, keys):
    return tuple(item for item in items if item.key in keys)
