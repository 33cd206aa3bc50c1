"""Rendering: masks are exact to the pixel."""

from __future__ import annotations

import numpy as np
import pytest

from auralsam2.stampavs.layout import MIN_TWIN_DISTANCE, LayoutLimits, draw_paths
from auralsam2.stampavs.presets import PRESETS
from auralsam2.stampavs.render import BACKGROUNDS, Cutout, Pose, compose_frame, draw_background

SIDE = 64
RED, BLUE = (220, 10, 10), (10, 10, 220)


def box(colour, width=40, height=20):
    stamp = np.full((height, width, 4), 255, dtype=np.uint8)
    stamp[..., :3] = colour
    return stamp


def lay(*stamps, poses, ground=None):
    ground = np.full((SIDE, SIDE, 3), 100, dtype=np.uint8) if ground is None else ground
    cutouts = [Cutout(stamp, pose.extent * SIDE) for stamp, pose in zip(stamps, poses, strict=True)]
    return compose_frame(ground, cutouts, poses, [pose.extent for pose in poses])


def upright(x, y, extent=0.5):
    return Pose(x=x, y=y, extent=extent, angle=0.0)


def test_box_bounds_the_visible_pixels():
    picture, masks, alone = lay(box(RED), poses=[upright(0.5, 0.5)])
    expected = np.zeros((SIDE, SIDE), dtype=bool)
    expected[24:40, 16:48] = True
    assert (masks[0] == expected).all()
    assert alone.tolist() == [16 * 32]
    assert (picture[expected] == RED).all()
    assert (picture[~expected] == 100).all()


def test_front_stamp_covers_the_back_one():
    poses = [upright(0.5, 0.5), upright(0.6, 0.55)]
    picture, masks, alone = lay(box(RED), box(BLUE), poses=poses)
    single = [lay(box(RED), poses=poses[:1])[1][0], lay(box(BLUE), poses=poses[1:])[1][0]]
    assert not (masks[0] & masks[1]).any()
    assert (masks[1] == single[1]).all()
    assert (masks[0] == single[0] & ~single[1]).all()
    assert (masks[0] | masks[1] == single[0] | single[1]).all()
    assert alone.tolist() == [mask.sum() for mask in single]
    assert (picture[masks[1]] == BLUE).all(axis=1).mean() > 0.9


def test_mask_pixels_have_at_least_half_alpha():
    stamp = box(RED)
    stamp[:, :20, 3] = 120
    _, masks, _ = lay(stamp, poses=[upright(0.5, 0.5, extent=40 / SIDE)])
    assert not masks[0][:, :31].any()
    assert masks[0][32, 34:50].all()


def test_stamp_is_clipped_at_the_frame():
    _, masks, alone = lay(box(RED), poses=[upright(0.0, 0.5)])
    assert masks[0].sum() == alone[0] / 2
    _, masks, _ = lay(box(RED), poses=[upright(3.0, 0.5)])
    assert not masks.any()


def test_stamps_turn_anticlockwise_and_shrink():
    stamp = box(RED, 40, 20)
    stamp[:, 30:, :3] = BLUE
    turned, left, top = Cutout(stamp, 40).pose(1.0, 90.0, 50, 50)
    solid = turned[..., 3] > 127
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (40, 20)
    assert (left + columns.mean(), top + rows.mean()) == (49.5, 49.5)
    assert turned[rows[0] + 3, columns[10]].tolist()[2] > 200, "the right end is above now"
    half, _, _ = Cutout(stamp, 40).pose(0.5, 0.0, 50, 50)
    assert np.count_nonzero(half[..., 3] > 127) == 20 * 10


def test_stamps_are_mirrored():
    stamp = box(RED)
    stamp[:, 30:, :3] = BLUE
    plain, _, _ = Cutout(stamp, 40).pose(1.0, 0.0, 50, 50)
    mirrored, _, _ = Cutout(stamp, 40, mirrored=True).pose(1.0, 0.0, 50, 50)
    assert (plain[:, ::-1][5:15, 5:35] == mirrored[5:15, 5:35]).all()
    assert not (plain == mirrored).all()


@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_backgrounds_are_reproducible_and_differ(kind):
    first, again, other = (draw_background(kind, SIDE, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.shape == (SIDE, SIDE, 3)
    assert first.dtype == np.uint8
    assert (first == again).all()
    assert not (first == other).all()
    assert (np.ptp(first.reshape(-1, 3), axis=0) == 0).all() == (kind == "plain")


@pytest.mark.parametrize("mix", PRESETS, ids=lambda mix: mix.name)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_objects_stay_in_the_frame_without_overlap(mix, count):
    limits: LayoutLimits = mix.layout
    for seed in range(10):
        paths = draw_paths([(1.0, 0.6)] * count, 5, limits, np.random.default_rng(seed))
        assert len(paths) == count
        for number, path in enumerate(paths):
            size = path.box[:, 2:] - path.box[:, :2]
            assert (path.box[:, :2] >= -limits.outside * size - 1e-9).all()
            assert (path.box[:, 2:] <= 1 + limits.outside * size + 1e-9).all()
            for other in paths[:number]:
                low = np.maximum(path.box[:, :2], other.box[:, :2])
                high = np.minimum(path.box[:, 2:], other.box[:, 2:])
                common = np.prod(np.clip(high - low, 0, None), axis=1)
                smaller = np.minimum(size.prod(axis=1), (other.box[:, 2:] - other.box[:, :2]).prod(axis=1))
                assert (common <= limits.overlap * smaller + 1e-9).all()


def test_twins_stay_on_their_sides():
    for seed in range(20):
        paths = draw_paths([(1.0, 0.6)] * 4, 10, PRESETS[1].layout, np.random.default_rng(seed), apart=(3, 1))
        distance = paths[3].centre[:, 0] - paths[1].centre[:, 0]
        assert np.abs(distance).min() >= MIN_TWIN_DISTANCE
        assert len(set(np.sign(distance))) == 1
