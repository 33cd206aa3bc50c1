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


def test_only_what_was_asked_for():
    prompts = simulate_prompts(label(slice(4, 13), slice(10, 19)), {"box"}, 32)
    assert (len(prompts.points), prompts.mask) == (0, None)
