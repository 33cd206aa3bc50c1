"""Held-out images, recordings and categories do not occur in training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auralsam2.errors import InputError
from auralsam2.stampavs import assets, splits
from auralsam2.stampavs.assets import AssetCollection, Category, Recording, StampImage

CATALOGUE = json.loads((Path(assets.__file__).parent / "catalogue.json").read_text(encoding="utf-8"))
TRAINED = ("train", "val", "test-seen", "test-null", "test-robust")


@pytest.fixture(scope="module")
def package() -> AssetCollection:
    """The package as the catalogue has it; the committed splits tell some of the silent pictures."""
    categories = {
        name: Category(
            name=name,
            group=entry["group"],
            verb=entry["verb"],
            pictures=tuple(StampImage(key=key, path=Path(key), name=name) for key in entry["pictures"]),
            recordings=tuple(Recording(key=key, path=Path(key)) for key in entry["sounds"]),
        )
        for name, entry in CATALOGUE["categories"].items()
    }
    silent = (*splits.read_splits().silent, "food/some", "sports/other")
    pictures = tuple(StampImage(key=key, path=Path(key), name=None) for key in silent)
    return AssetCollection(source="package", is_package=True, categories=categories, silent=pictures)


def used(pool):
    """Names of categories, keys of pictures and keys of recordings that may sound, and keys of all that is seen."""
    visible = {p.key for c in (*pool.targets, *pool.distractors) for p in c.pictures} | {p.key for p in pool.silent}
    return (
        {c.name for c in pool.targets},
        {p.key for c in pool.targets for p in c.pictures},
        {r.key for c in pool.targets for r in c.recordings},
        visible,
    )


def test_committed_splits_hold_out_enough(package):
    held = splits.read_splits()
    assert 12 <= len(held.categories) <= 14
    assert {package.categories[name].group for name in held.categories} == {
        category.group for category in package.categories.values()
    }
    assert len(held.pictures) >= 15
    assert len(held.recordings) >= 6
    names = {picture.key for category in package.categories.values() for picture in category.pictures}
    assert set(held.pictures) <= names
    assert not names & set(held.silent)


@pytest.mark.parametrize("split", TRAINED)
def test_held_out_assets_are_not_in_training(package, split):
    held = splits.split_assets(package, seed=7)
    assert held == splits.read_splits(), "the seed does not matter for the package"
    categories, _, recordings, visible = used(splits.asset_pool(package, held, split))
    assert not categories & set(held.categories)
    assert not recordings & set(held.recordings)
    assert not visible & {*held.pictures, *held.silent}
    assert not visible & {p.key for name in held.categories for p in package.categories[name].pictures}


def test_targets_of_test_splits_are_held_out(package):
    held = splits.read_splits()
    trained = used(splits.asset_pool(package, held, "train"))
    image = used(splits.asset_pool(package, held, "test-new-image"))
    assert image[1] == set(held.pictures)
    assert image[0] <= trained[0]
    assert image[2] <= trained[2]
    sound = used(splits.asset_pool(package, held, "test-new-sound"))
    assert sound[2] == set(held.recordings)
    assert sound[1] <= trained[1]
    unseen = used(splits.asset_pool(package, held, "test-unseen"))
    assert unseen[0] == set(held.categories)
    assert not unseen[1] & trained[3]
    assert not unseen[2] & trained[2]


@pytest.mark.parametrize("split", ["test-new-image", "test-unseen"])
def test_silent_stamps_are_held_out_with_the_targets(package, split):
    held = splits.read_splits()
    assert [picture.key for picture in splits.asset_pool(package, held, split).silent] == list(held.silent)


def test_every_trained_category_keeps_a_picture_and_a_recording(package):
    for category in splits.asset_pool(package, splits.read_splits(), "train").targets:
        assert category.pictures
        assert category.recordings


def test_committed_splits_equal_drawn_ones(package):
    """All but the silent pictures, which the catalogue does not list."""
    drawn = splits.draw_splits(package, 0)
    held = splits.read_splits()
    assert (drawn.categories, drawn.pictures, drawn.recordings) == (held.categories, held.pictures, held.recordings)


def test_other_folder_is_split_by_the_seed(collection):
    first = splits.split_assets(collection, 0)
    assert first == splits.split_assets(collection, 0)
    assert len(first.categories) == 2
    assert len({splits.split_assets(collection, seed).categories for seed in range(8)}) > 1


def test_splits_without_assets_are_omitted(collection):
    held = splits.split_assets(collection, 0)
    assert splits.possible_splits(collection, held) == (
        "train",
        "val",
        "test-seen",
        "test-unseen",
        "test-null",
        "test-robust",
    )
    with pytest.raises(InputError, match="test-new-image"):
        splits.asset_pool(collection, held, "test-new-image")
