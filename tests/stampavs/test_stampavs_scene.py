"""Scenes of every kind are consistent, and only the audio reveals the sounding objects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from auralsam2.stampavs import audio, splits
from auralsam2.stampavs import scene as scene_module
from auralsam2.stampavs.assets import read_stamp
from auralsam2.stampavs.presets import HARD, KINDS, PRESETS, SHARES, STANDARD, WITHOUT_TARGET, scene_kind
from auralsam2.stampavs.render import draw_background
from auralsam2.stampavs.scene import select_objects
from auralsam2.types import AUDIO_RATE

SIZE = 48


def scene(pool, kind, mix=STANDARD, seed=0, **changes):
    return scene_module.draw_scene(
        np.random.default_rng([seed, KINDS.index(kind)]), pool, mix, kind, size=SIZE, **changes
    )


def second(samples, number):
    return samples[number * AUDIO_RATE : (number + 1) * AUDIO_RATE]


@pytest.mark.parametrize("mix", PRESETS, ids=lambda mix: mix.name)
@pytest.mark.parametrize("kind", KINDS)
def test_every_scene_is_consistent(train, kind, mix):
    for seed in range(4):
        actual = scene(train, kind, mix, seed)
        n, t = len(actual.objects), len(actual.frames)
        assert t in scene_module.FRAMES
        assert 1 <= n <= 4
        assert actual.frames.shape == (t, SIZE, SIZE, 3)
        assert actual.samples.shape == (t * AUDIO_RATE, 2)
        assert actual.samples.dtype == np.float32
        assert np.abs(actual.samples).max() < 1
        assert actual.masks.shape == (n, t, SIZE, SIZE)
        assert actual.sounding.shape == (n, t)
        assert actual.sounding.sum(axis=0).max() <= 2
        assert actual.masks.sum(axis=0).max() <= 1, "no pixel belongs to two objects"
        expected = np.zeros((t, SIZE, SIZE), dtype=bool)
        for mask, sounding in zip(actual.masks, actual.sounding, strict=True):
            expected[sounding] |= mask[sounding]
        assert (actual.target == expected).all()
        for item, mask in zip(actual.objects, actual.masks, strict=True):
            assert (item.areas == mask.sum(axis=(1, 2))).all()
            assert (item.areas > 0).all()
            for (x0, y0, x1, y1), outcome in zip(item.boxes, mask, strict=True):
                assert outcome[y0:y1, x0:x1].sum() == outcome.sum()
                assert outcome[y0].any()
                assert outcome[:, x1 - 1].any()


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_have_their_properties(train, kind):
    for seed in range(8):
        actual = scene(train, kind, seed=seed)
        audible = actual.sounding.any(axis=1).sum()
        assert audible == (0 if kind in WITHOUT_TARGET else 2 if kind == "multi" else 1)
        assert (len(actual.offscreen) == 1) == (kind == "offscreen")
        assert np.any(actual.samples) == (kind != "silence")
        names = actual.categories
        assert len(names) - len(set(names)) == (kind == "twins")
        assert all(track.sounding.any() for track in actual.offscreen)


def test_offscreen_categories_are_not_visible(train):
    number = 0
    for kind in KINDS:
        for seed in range(12):
            actual = scene(train, kind, HARD, seed)
            assert not {track.category for track in actual.offscreen} & set(actual.categories)
            number += len(actual.offscreen)
    assert number > 15


def test_standard_mix_is_silent_without_sounding_objects(train):
    for seed in range(6):
        actual = scene(train, "single", seed=seed)
        for number, audible in enumerate(actual.sounding.any(axis=0)):
            assert bool(np.any(second(actual.samples, number))) == bool(audible)


@pytest.mark.parametrize("seed", range(6))
def test_louder_side_identifies_the_sounding_twin(train, seed):
    actual = scene(train, "twins", seed=seed)
    (first, other) = (item for item in actual.objects if actual.categories.count(item.category) == 2)
    for number, audible in enumerate(actual.sounding.any(axis=0)):
        if audible:
            right, remaining = (np.square(second(actual.samples, number)[:, channel]).sum() for channel in (1, 0))
            # Where the sound comes from, of the constant-power law, lies nearer to the one that sounds.
            direction = np.arctan2(np.sqrt(right), np.sqrt(remaining)) / (np.pi / 2)
            nearer = min((first, other), key=lambda item: abs(item.pan[number] - direction))
            assert nearer.track is not None


def test_noise_of_hard_scenes_is_below_the_objects(train):
    actual = scene(train, "silence", HARD)
    level = np.sqrt(np.square(actual.samples).mean())
    quietest = audio.LEVEL * 10 ** (HARD.gains / 20) * audio.AUDIBLE
    assert 0 < level < quietest * np.sqrt(2)


def test_equal_seeds_give_equal_scenes(train):
    first, again, other = (scene(train, "multi", seed=seed) for seed in (3, 3, 4))
    assert (first.frames == again.frames).all()
    assert (first.samples == again.samples).all()
    assert first.samples.shape != other.samples.shape or (first.samples != other.samples).any()


def test_image_is_independent_of_sound(train):
    """With another sounding object, background, positions, sizes and paths are the same."""
    selection = select_objects(train, STANDARD, "single", np.random.default_rng(5))
    silent = replace(selection, roles=tuple(replace(role, sounds=not role.sounds) for role in selection.roles))
    results = []
    for first in (selection, silent):
        rng = np.random.default_rng(9)
        results.append(scene_module._render(first, 5, STANDARD, draw_background("gradient", SIZE, rng), rng))
    (pictures, masks, stage), (same_pictures, same_masks, same_stage) = results
    assert (pictures == same_pictures).all()
    assert (masks == same_masks).all()
    assert all((a.box == b.box).all() for a, b in zip(stage.paths, same_stage.paths, strict=True))


def test_object_order_is_independent_of_sound(train):
    places = [int(scene(train, "single", seed=seed, frames=5).sounding.any(axis=1).argmax()) for seed in range(60)]
    assert len(set(places)) >= 3
    assert max(map(places.count, places)) < 40


def test_objects_are_visible_enough(train):
    """Of the area of its shape, each shows at least the share that the mix demands, in every frame."""
    mix = replace(HARD, visible=0.9)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        selection = select_objects(train, mix, "multi", rng)
        _, masks, stage = scene_module._render(selection, 5, mix, draw_background("plain", 96, rng), rng)
        for role, mask, path in zip(selection.roles, masks, stage.paths, strict=True):
            solid = read_stamp(role.picture.path)[..., 3] > 127
            full = solid.sum() * (96 * path.extent / max(solid.shape)) ** 2
            assert (mask.sum(axis=(1, 2)) > 0.84 * full).all()


@pytest.mark.parametrize("size", [31, 1025])
def test_sizes_have_limits(train, size):
    with pytest.raises(ValueError, match=str(size)):
        scene_module.draw_scene(np.random.default_rng(0), train, STANDARD, "single", size=size)


def test_asset_pool_of_a_split(collection):
    held = splits.split_assets(collection, 0)
    unseen = splits.asset_pool(collection, held, "test-unseen")
    for seed in range(10):
        actual = scene(unseen, "single", seed=seed)
        sources = {item.category for item in actual.objects if item.track}
        assert sources <= set(held.categories)


@pytest.mark.parametrize("split", SHARES)
def test_shares_of_kinds_for_few_and_many_clips(split):
    shares = dict(SHARES[split])
    assert sum(shares.values()) == pytest.approx(1)
    for count in (50, 1000):
        kinds = [scene_kind(split, index) for index in range(count)]
        for kind, share in shares.items():
            assert kinds.count(kind) / count == pytest.approx(share, abs=2.5 / count + 0.01)
