"""The matching of pixels and seconds by similarity, worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from auralsam2.errors import ConfigError
from auralsam2.training.config import ContrastConfig, MaskLossConfig
from auralsam2.training.losses import balanced_loss, mask_losses, matching_loss


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def test_balanced_by_hand():
    """One cell of four is the object: it weighs as much as the other three together."""
    logits = torch.tensor([[2.0, -1.0], [0.5, -3.0]])
    target = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    expected = (softplus(-2.0) + (softplus(-1.0) + softplus(0.5) + softplus(-3.0)) / 3) / 2
    assert float(balanced_loss(logits, target)) == pytest.approx(expected)


def test_matching_by_hand():
    """Two frames of 2 x 2 cells; in the second nothing sounds."""
    heard = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    seen = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]], [[1.0, 0.0]] * 4])
    label = torch.zeros(2, 4, 4)
    label[0, :2, :2] = 1
    first = (softplus(-2.0) + softplus(0.0)) / 2
    second = (0.0 + softplus(0.0)) / 2
    found = matching_loss((seen, seen), (heard, heard), label, temperature=0.5)
    assert float(found) == pytest.approx(first + second)


def test_the_right_cells_match_better():
    torch.manual_seed(0)
    heard = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)
    label = torch.zeros(3, 8, 8, dtype=torch.bool)
    label[:, 2:6, 4:] = True
    cells = label[:, 1::2, 1::2].flatten(1)[..., None]
    right = torch.where(cells, heard[:, None], -heard[:, None])
    assert matching_loss((right,), (heard,), label, 0.1) < 0.01
    assert matching_loss((-right,), (heard,), label, 0.1) > 5


def test_while_waking_all_candidates_learn():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    label = torch.zeros(2, 8, 8, dtype=torch.bool)
    label[0, 2:5, 2:5] = True  # the second frame has no object
    given = (torch.rand(2, 3), torch.randn(2, 1), label, MaskLossConfig())
    best = mask_losses(logits, *given)
    best.total.backward()
    assert logits.grad is not None
    assert logits.grad.flatten(2).abs().sum(2).count_nonzero() == 1
    logits.grad = None
    woken = mask_losses(logits, *given, waking=True)
    woken.total.backward()
    assert logits.grad[0].flatten(1).abs().sum(1).count_nonzero() == 3
    assert not logits.grad[1].any()
    expected = balanced_loss(logits[0], label[0].float().expand(3, 8, 8)).mean()
    torch.testing.assert_close(MaskLossConfig().focal * woken.focal, expected)


def test_a_negative_weight_is_refused():
    with pytest.raises(ConfigError, match="matching"):
        ContrastConfig(matching=-1.0)
