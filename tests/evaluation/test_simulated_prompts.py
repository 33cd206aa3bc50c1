"""What is pointed at in a label."""

from __future__ import annotations

import torch

from auralsam2.evaluation.simulated_prompts import first_target, simulate_prompts


def label(rows: slice, columns: slice, size: int = 32) -> torch.Tensor:
    mask = torch.zeros(size, size, dtype=torch.bool)
    mask[rows, columns] = True
    return mask


def test_the_first_target_is_supervised():
    labels = torch.zeros(4, 2, 2, dtype=torch.bool)
    labels[1:, 0, 0] = True
    assert first_target(labels, torch.tensor([True, False, True, True])) == 2
    assert first_target(labels, torch.tensor([True, False, False, False])) is None


def test_prompts_on_the_square_of_the_model():
    mask = label(slice(4, 13), slice(10, 19))
    prompts = simulate_prompts(mask, {"points", "box", "mask"}, 64)
    assert prompts.points.tolist() == [[29, 17]]
    assert prompts.labels.tolist() == [1]
    assert prompts.box is not None
    assert prompts.box.tolist() == [20, 8, 38, 26]
    assert prompts.mask is not None
    assert torch.equal(prompts.mask, mask.repeat_interleave(2, 0).repeat_interleave(2, 1))


def test_drawn_points_are_in_the_mask_and_seeded():
    mask = label(slice(4, 13), slice(10, 19))
    draws = [simulate_prompts(mask, {"points"}, 64, points=4, seed=(0, number)) for number in range(200)]
    for prompts in draws:
        assert prompts.labels.tolist() == [1] * 4
        pixels = ((prompts.points / 2) - 0.5).long()
        assert len(set(map(tuple, pixels.tolist()))) == 4, "no pixel is drawn twice"
        assert bool(mask[pixels[:, 1], pixels[:, 0]].all())
    again = simulate_prompts(mask, {"points"}, 64, points=4, seed=(0, 7))
    assert torch.equal(again.points, draws[7].points)
    assert not torch.equal(again.points, draws[8].points)
    # Uniform over the 9 x 9 pixels: each is drawn about 10 times in 800.
    columns = torch.cat([prompts.points[:, 0] for prompts in draws]) / 2 - 0.5
    counts = torch.bincount(columns.long(), minlength=32)[10:19]
    assert counts.sum() == 800
    assert 60 < counts.min() <= counts.max() < 125


def test_a_small_mask_repeats_points():
    prompts = simulate_prompts(label(slice(4, 5), slice(10, 12)), {"points"}, 32, points=4)
    assert len(prompts.points) == 4
    assert {tuple(point) for point in prompts.points.tolist()} <= {(10.5, 4.5), (11.5, 4.5)}


def test_only_what_was_asked_for():
    prompts = simulate_prompts(label(slice(4, 13), slice(10, 19)), {"box"}, 32)
    assert (len(prompts.points), prompts.mask) == (0, None)
