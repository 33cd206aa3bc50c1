"""Two masks become one."""

from __future__ import annotations

import math

import pytest
import torch

from auralsam2.inference.object_state import MERGES, MaskPrediction, merge_predictions

ONE = MaskPrediction(torch.tensor([[4.0, -1.0], [2.0, -3.0]]), 0.6, 5.0)
OTHER = MaskPrediction(torch.tensor([[-1.0, 3.0], [1.0, -9.0]]), 0.8, -2.0)


def probability(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def test_mean_of_probabilities() -> None:
    merged = merge_predictions(ONE, OTHER, "mean_prob")
    for row in range(2):
        for column in range(2):
            pair = [float(found.low_res[row, column]) for found in (ONE, OTHER)]
            mean = sum(map(probability, pair)) / 2
            assert probability(float(merged.low_res[row, column])) == pytest.approx(mean, abs=1e-5)
    assert (merged.iou, merged.object_score) == pytest.approx((0.7, 1.5))


def test_mean_of_logits() -> None:
    merged = merge_predictions(ONE, OTHER, "mean_logit")
    assert merged.low_res.tolist() == [[1.5, 1.0], [1.5, -6.0]]
    assert (merged.iou, merged.object_score) == pytest.approx((0.7, 1.5))


def test_the_mask_that_is_trusted_more() -> None:
    assert merge_predictions(ONE, OTHER, "max_iou_score") is OTHER
    assert merge_predictions(OTHER, ONE, "max_iou_score") is OTHER
    tied = MaskPrediction(OTHER.low_res, ONE.iou, 0.0)
    assert merge_predictions(ONE, tied, "max_iou_score") is ONE


def test_union() -> None:
    merged = merge_predictions(ONE, OTHER, "union")
    assert torch.equal(merged.low_res > 0, (ONE.low_res > 0) | (OTHER.low_res > 0))
    assert merged.low_res.tolist() == [[4.0, 3.0], [2.0, -3.0]]
    assert (merged.iou, merged.object_score) == pytest.approx((0.7, 5.0))


def test_the_two_means_draw_the_same_border() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = (MaskPrediction(6 * torch.randn(32, 32, generator=generator), 0.5, 1.0) for _ in range(2))
    by_probability, by_logit = (merge_predictions(one, other, rule).low_res for rule in ("mean_prob", "mean_logit"))
    assert torch.equal(by_probability > 0, by_logit > 0)
    assert (by_probability - by_logit).abs().max() > 1


@pytest.mark.parametrize("rule", MERGES)
def test_sure_masks_stay_finite(rule: str) -> None:
    sure = MaskPrediction(torch.full((2, 2), 1024.0), 0.5, 1.0)
    assert bool(merge_predictions(sure, sure, rule).low_res.isfinite().all())  # type: ignore[arg-type]
    assert bool((merge_predictions(sure, sure, rule).low_res > 10).all())  # type: ignore[arg-type]
