"""Scenes by number: reproducible, with correct classes, and without held-out images in training."""

from __future__ import annotations

import numpy as np
import pytest

from auralsam2.stampavs import splits
from auralsam2.stampavs.assets import collect_assets, read_stamp
from projects.mini import sam2_data
from projects.mini.sam2_data import SceneStream

SIZE = 64


def scenes(stamps, split="train", seed=0, frames=2) -> SceneStream:
    return SceneStream(split, size=SIZE, frames=frames, seed=seed, stamps=stamps)


def pictures(stream: SceneStream) -> set[str]:
    categories = (*stream.pool.targets, *stream.pool.distractors)
    sounding = {picture.key for category in categories for picture in category.pictures}
    return sounding | {picture.key for picture in stream.pool.silent}


def test_clip_depends_on_its_number_alone(stamps):
    stream, same = scenes(stamps), scenes(stamps)
    later = [same[number] for number in (5, 4, 3)][::-1]
    for clip, again in zip((stream[number] for number in (3, 4, 5)), later, strict=True):
        assert np.array_equal(clip.frames, again.frames)
        assert np.array_equal(clip.objects, again.objects)
        assert np.array_equal(clip.classes, again.classes)


def test_numbers_seeds_and_splits_give_different_clips(stamps):
    clips = [
        scenes(stamps)[0],
        scenes(stamps)[1],
        scenes(stamps, seed=1)[0],
        scenes(stamps, seed=1)[1],
        scenes(stamps, "held-out")[0],
    ]
    for number, clip in enumerate(clips):
        assert not any(np.array_equal(clip.frames, other.frames) for other in clips[:number])


def test_shapes_and_object_maps(stamps):
    stream = scenes(stamps, frames=3)
    for number in range(8):
        clip = stream[number]
        assert clip.frames.shape == (3, SIZE, SIZE, 3)
        assert clip.objects.shape == (3, SIZE, SIZE)
        assert (clip.frames.dtype, clip.objects.dtype, clip.classes.dtype) == (np.uint8, np.uint8, np.int16)
        assert 1 <= len(clip.classes) <= 4
        assert clip.objects.max() == len(clip.classes)
        assert all(
            set(np.unique(object_map)) - {0} <= set(range(1, len(clip.classes) + 1)) for object_map in clip.objects
        )


@pytest.mark.parametrize("split", ["train", "held-out"])
def test_classes_match_the_images(stamps, split):
    """Each small stamp has one colour; the median visible pixel of its object has this hue."""
    stream = scenes(stamps, split)
    collection = collect_assets(stamps)
    shades = {name: colour(category.pictures[0].path) for name, category in collection.categories.items()}
    shades |= {picture.key: colour(picture.path) for picture in collection.silent}
    assert set(stream.classes) <= set(shades)
    classes_seen = set()
    for number in range(12):
        clip = stream[number]
        for index, kind in enumerate(clip.classes):
            pixels = clip.frames[0][clip.objects[0] == index + 1].astype(float)
            if len(pixels) >= 30:
                hue = np.median(pixels, axis=0)
                hue /= np.linalg.norm(hue)
                nearest = max(stream.classes, key=lambda name: float(hue @ shades[name]))
                assert nearest == stream.classes[kind]
                classes_seen.add(nearest)
    assert len(classes_seen) >= 3


def colour(path) -> np.ndarray:
    """Return the colour of the middle pixel, of length 1."""
    stamp = read_stamp(path)
    middle = stamp[stamp.shape[0] // 2, stamp.shape[1] // 2, :3].astype(float)
    return middle / np.linalg.norm(middle)


def test_held_out_images_are_not_in_training(stamps):
    trained, held_out = pictures(scenes(stamps)), pictures(scenes(stamps, "held-out"))
    assert trained
    assert held_out
    assert not trained & held_out
    everything = collect_assets(stamps)
    assert trained | held_out == {p.key for c in everything.categories.values() for p in c.pictures} | {
        p.key for p in everything.silent
    }


def test_second_image_of_a_trained_category_is_held_out(stamps, tmp_path):
    """Held-out images of a trained category, as in the splits of the Debian package."""
    collection, held_out = collect_assets(stamps), splits.split_assets(collect_assets(stamps), 0)
    name = next(name for name in collection.categories if name not in held_out.categories)
    second = splits.replace(held_out, pictures=(collection.categories[name].pictures[0].key,))
    pool = sam2_data.held_out(collection, second)
    assert name in {category.name for category in pool.targets}
    assert {c.name for c in pool.targets} == {name, *held_out.categories}
    assert pool.distractors == pool.targets
    assert {picture.key for picture in pool.silent} == set(held_out.silent)
