"""Clips by number: the same again, others by seed, named rightly, and nothing held out is trained on."""

from __future__ import annotations

import numpy as np
import pytest

from auralsam2.stampavs import splits
from auralsam2.stampavs.assets import collect_assets, read_stamp
from projects.mini import sam2_data as module
from projects.mini.sam2_data import SceneStream

SIZE = 64


def scenes(stamps, part="train", seed=0, frames=2) -> SceneStream:
    return SceneStream(part, size=SIZE, frames=frames, seed=seed, stamps=stamps)


def pictures(drawn: SceneStream) -> set[str]:
    categories = (*drawn.pool.targets, *drawn.pool.distractors)
    sounding = {picture.key for category in categories for picture in category.pictures}
    return sounding | {picture.key for picture in drawn.pool.silent}


def test_a_clip_is_the_same_whenever_it_is_drawn(stamps):
    one, other = scenes(stamps), scenes(stamps)
    later = [other[number] for number in (5, 4, 3)][::-1]
    for clip, again in zip((one[number] for number in (3, 4, 5)), later, strict=True):
        assert np.array_equal(clip.frames, again.frames)
        assert np.array_equal(clip.objects, again.objects)
        assert np.array_equal(clip.classes, again.classes)


def test_numbers_seeds_and_parts_give_other_clips(stamps):
    clips = [
        scenes(stamps)[0],
        scenes(stamps)[1],
        scenes(stamps, seed=1)[0],
        scenes(stamps, seed=1)[1],
        scenes(stamps, "held-out")[0],
    ]
    for number, clip in enumerate(clips):
        assert not any(np.array_equal(clip.frames, other.frames) for other in clips[:number])


def test_shapes_and_owners(stamps):
    drawn = scenes(stamps, frames=3)
    for number in range(8):
        clip = drawn[number]
        assert clip.frames.shape == (3, SIZE, SIZE, 3)
        assert clip.objects.shape == (3, SIZE, SIZE)
        assert (clip.frames.dtype, clip.objects.dtype, clip.classes.dtype) == (np.uint8, np.uint8, np.int16)
        assert 1 <= len(clip.classes) <= 4
        assert clip.objects.max() == len(clip.classes)
        assert all(set(np.unique(owners)) - {0} <= set(range(1, len(clip.classes) + 1)) for owners in clip.objects)


@pytest.mark.parametrize("part", ["train", "held-out"])
def test_kinds_name_what_is_drawn(stamps, part):
    """Each toy has one colour, which the middle of what its owner shows must have, up to shade and blending."""
    drawn = scenes(stamps, part)
    collection = collect_assets(stamps)
    shades = {name: colour(category.pictures[0].path) for name, category in collection.categories.items()}
    shades |= {picture.key: colour(picture.path) for picture in collection.silent}
    assert set(drawn.classes) <= set(shades)
    met = set()
    for number in range(12):
        clip = drawn[number]
        for place, kind in enumerate(clip.classes):
            shown = clip.frames[0][clip.objects[0] == place + 1].astype(float)
            if len(shown) >= 30:
                hue = np.median(shown, axis=0)
                hue /= np.linalg.norm(hue)
                nearest = max(drawn.classes, key=lambda name: float(hue @ shades[name]))
                assert nearest == drawn.classes[kind]
                met.add(nearest)
    assert len(met) >= 3


def colour(path) -> np.ndarray:
    """The middle pixel's, of length 1."""
    stamp = read_stamp(path)
    middle = stamp[stamp.shape[0] // 2, stamp.shape[1] // 2, :3].astype(float)
    return middle / np.linalg.norm(middle)


def test_held_out_shares_no_picture_with_training(stamps):
    trained, held = pictures(scenes(stamps)), pictures(scenes(stamps, "held-out"))
    assert trained
    assert held
    assert not trained & held
    everything = collect_assets(stamps)
    assert trained | held == {p.key for c in everything.categories.values() for p in c.pictures} | {
        p.key for p in everything.silent
    }


def test_a_second_picture_of_a_trained_thing_is_held_out(stamps, tmp_path):
    """The Debian package's own splits, as far as they can be had without it."""
    collection, held = collect_assets(stamps), splits.split_assets(collect_assets(stamps), 0)
    name = next(name for name in collection.categories if name not in held.categories)
    second = splits.replace(held, pictures=(collection.categories[name].pictures[0].key,))
    pool = module.held_out(collection, second)
    assert name in {category.name for category in pool.targets}
    assert {c.name for c in pool.targets} == {name, *held.categories}
    assert pool.distractors == pool.targets
    assert {picture.key for picture in pool.silent} == set(held.silent)
