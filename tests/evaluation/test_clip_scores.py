"""Boundary F, presence and intervals, against slow plain forms and shapes made by hand."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auralsam2.evaluation.metrics import auroc, boundary_f, contours, draw_weights, interval, ratio_draws


def square(top: int, left: int, side: int, size: int = 64) -> torch.Tensor:
    mask = torch.zeros(1, size, size, dtype=torch.bool)
    mask[0, top : top + side, left : left + side] = True
    return mask


def test_contour_of_a_square():
    """Pixels whose right, lower or lower right neighbour differs: as seg2bmap of the DAVIS tools."""
    drawn = contours(square(1, 1, 2, 4))[0].int().tolist()
    assert drawn == [[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]


def test_contour_at_the_edge_of_the_picture():
    assert not contours(torch.ones(1, 3, 3, dtype=torch.bool)).any()
    assert contours(square(2, 2, 2, 4))[0].int().tolist() == [[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 0, 0], [0, 1, 0, 0]]


def test_a_shift_within_the_radius_is_forgiven_and_one_beyond_is_not():
    label = square(20, 20, 20)
    assert boundary_f(label, label).item() == 1
    assert boundary_f(square(20, 23, 20), label, radius=3).item() == 1
    assert boundary_f(square(20, 30, 20), label, radius=3).item() < 0.7
    assert boundary_f(square(2, 55, 5), label, radius=3).item() == 0


def test_empty_masks():
    empty, label = torch.zeros(1, 64, 64, dtype=torch.bool), square(20, 20, 20)
    assert boundary_f(empty, empty).item() == 1
    assert boundary_f(label, empty).item() == boundary_f(empty, label).item() == 0


def test_precision_and_recall_by_hand():
    """A line of the truth and two of the mask: all of the truth is met, half of the mask."""
    label, mask = torch.zeros(1, 40, 40, dtype=torch.bool), torch.zeros(1, 40, 40, dtype=torch.bool)
    label[0, :10] = True
    mask[0, :10] = True
    mask[0, 30:] = True
    assert boundary_f(mask, label, radius=2).item() == pytest.approx(2 * 0.5 * 1 / 1.5)


def plain_boundary_f(mask: torch.Tensor, label: torch.Tensor, radius: int) -> float:
    """All pairs of contour pixels."""
    a, b = (contours(maps)[0].nonzero().tolist() for maps in (mask, label))
    if not a or not b:
        return float(not a and not b)

    def met(some: list, others: list) -> float:
        near = [any((y - v) ** 2 + (x - u) ** 2 <= radius**2 for v, u in others) for y, x in some]
        return sum(near) / len(near)

    p, r = met(a, b), met(b, a)
    return 2 * p * r / (p + r) if p + r else 0.0


@given(st.integers(0, 2**31), st.integers(0, 5))
@settings(deadline=None, max_examples=30)
def test_boundary_f_equals_the_plain_form(seed, radius):
    generator = torch.Generator().manual_seed(seed)
    mask, label = torch.rand(2, 3, 11, 14, generator=generator) > 0.8
    expected = [plain_boundary_f(mask[n : n + 1], label[n : n + 1], radius) for n in range(3)]
    assert boundary_f(mask, label, radius).tolist() == pytest.approx(expected)


def test_contours_far_apart_do_not_match_in_a_narrow_map():
    """The width of the map is below the radius; the contours are 15 rows apart."""
    mask, label = torch.zeros(2, 1, 20, 3, dtype=torch.bool)
    mask[0, 1], label[0, 16] = True, True
    assert boundary_f(mask, label, radius=5).item() == plain_boundary_f(mask, label, 5) == 0


def test_the_radius_follows_the_picture():
    """0.008 of the diagonal of 256 x 256 is 2.9 pixels, so 3."""
    label = square(100, 100, 50, 256)
    assert boundary_f(square(100, 103, 50, 256), label).item() == 1
    assert boundary_f(square(100, 104, 50, 256), label).item() < 1


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=20))
@settings(deadline=None)
def test_auroc_equals_all_pairs(frames):
    scores = torch.tensor([float(score) for score, _ in frames])
    present = torch.tensor([there for _, there in frames])
    pairs = list(itertools.product(scores[present].tolist(), scores[~present].tolist()))
    got = auroc(scores, present)
    assert got.shape == (1,)
    if pairs:
        assert got.item() == pytest.approx(sum((p > n) + (p == n) / 2 for p, n in pairs) / len(pairs))
    else:
        assert math.isnan(got.item())


def test_weights_of_auroc_are_repetitions():
    scores, present = torch.tensor([3.0, 1.0, 2.0, 2.0]), torch.tensor([True, True, False, False])
    weights = torch.tensor([[1, 1, 1, 1], [2, 1, 0, 3]])
    times = weights[1]
    repeated = auroc(scores.repeat_interleave(times), present.repeat_interleave(times))
    assert auroc(scores, present, weights).tolist() == [0.5, pytest.approx(repeated.item())]


def test_draws_are_samples_with_replacement():
    weights = draw_weights(7, seed=3, draws=500)
    assert weights.shape == (500, 7)
    assert (weights.sum(1) == 7).all()
    assert torch.equal(weights, draw_weights(7, seed=3, draws=500))
    assert not torch.equal(weights, draw_weights(7, seed=4, draws=500))


def test_an_interval_covers_as_often_as_it_says():
    """Means of 50 uniform numbers: the interval of 95 % holds the true mean about 95 times in 100."""
    generator = torch.Generator().manual_seed(0)
    weights, ones = draw_weights(50, seed=1), torch.ones(50, dtype=torch.float64)
    held = 0
    for _ in range(300):
        scores = torch.rand(50, generator=generator, dtype=torch.float64)
        low, high = interval(ratio_draws(weights, scores, ones)) or (1, 0)
        held += low <= 0.5 <= high
    assert 0.90 < held / 300 < 0.985


def test_draws_without_a_value_are_left_out():
    nan = math.nan
    assert interval(torch.tensor([nan, 1.0, 1.0])) == (1, 1)
    assert interval(torch.tensor([nan])) is None
