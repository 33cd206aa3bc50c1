"""The loss by hand, on masks of a few cells."""

from __future__ import annotations

import math

import pytest
import torch

from auralsam2.modeling.mask_decoder import DecoderOutput
from auralsam2.training.losses import dice_loss, focal_loss
from projects.mini.sam2_network import cell_shares, prompt_loss, prompt_sensitivity, soft_iou

LOG3 = math.log(3)  # the logit of 3/4
TARGET = torch.tensor([[1.0, 0.0], [0.0, 0.0]])


def test_cell_shares_are_shares_of_cells():
    target = torch.zeros(1, 4, 4, dtype=torch.bool)
    target[0, 0, :3] = True
    assert cell_shares(target, 2).tolist() == [[[0.5, 0.25], [0.0, 0.0]]]


def test_focal_by_hand():
    # α (1 - p)² · -ln p; correct cells have p = 3/4, wrong ones 1/4.
    logits = torch.tensor([[LOG3, LOG3], [-LOG3, -LOG3]])
    correct, wrong = -math.log(0.75) / 16, -math.log(0.25) * 9 / 16
    assert float(focal_loss(logits, TARGET)) == pytest.approx((0.25 * correct + 0.75 * (wrong + 2 * correct)) / 4)


def test_dice_by_hand():
    # p: 3/4, 3/4, 1/4, 1/4, so Σ p t = 3/4, Σ p = 2, Σ t = 1.
    logits = torch.tensor([[LOG3, LOG3], [-LOG3, -LOG3]])
    assert float(dice_loss(logits, TARGET)) == pytest.approx(1 - (1.5 + 1) / (2 + 1 + 1))


def test_soft_iou_counts_cells_and_is_1_for_empty_masks():
    logits = torch.tensor([[[1.0, 1.0], [-1.0, -1.0]], [[-1.0, -1.0], [-1.0, -1.0]]])
    assert soft_iou(logits, torch.stack([TARGET, torch.zeros(2, 2)])).tolist() == [0.5, 1.0]


def decoded(masks: torch.Tensor, ious: torch.Tensor, score: float = 0.0) -> DecoderOutput:
    return DecoderOutput(masks, ious, torch.zeros(len(masks), 4, 8), torch.full((len(masks), 1), score))


def test_mask_loss_of_the_first_and_the_best_mask():
    target = TARGET.bool()[None]
    correct = 20 * (TARGET - 0.5)
    masks = torch.stack([-correct, -correct, correct, -correct])[None].requires_grad_()
    terms = prompt_loss(decoded(masks, torch.zeros(1, 4)), torch.zeros(1, 2, 2), target, "focal")
    (terms.mask + terms.dice).backward()
    assert [bool(level.any()) for level in masks.grad[0]] == [True, False, True, False]
    # The first mask is wrong everywhere, that of token 2 correct: half of 20 α-weighted focal terms of 10 each.
    assert float(terms.mask.detach()) == pytest.approx(20 * (0.25 + 3 * 0.75) * 10 / 4 / 2, rel=1e-3)


def test_predicted_ious_and_score():
    target = TARGET.bool()[None]
    masks = (20 * (TARGET - 0.5)).expand(1, 4, 2, 2)
    terms = prompt_loss(decoded(masks, torch.full((1, 4), 0.7), LOG3), torch.zeros(1, 2, 2), target, "balanced")
    assert float(terms.iou) == pytest.approx(0.09)
    assert float(terms.presence) == pytest.approx(-math.log(0.75))
    assert float(terms.auxiliary) == pytest.approx(5 * math.log(2))
    assert float(terms.mask_iou) == 1.0
    assert float(terms.total) == pytest.approx(0.09 - math.log(0.75) + 5 * math.log(2), rel=1e-3)


def test_absent_object_changes_the_presence_term_alone():
    target = torch.stack([TARGET, torch.zeros(2, 2)]).bool()
    masks = (20 * (TARGET - 0.5)).expand(2, 4, 2, 2)
    both = prompt_loss(decoded(masks, torch.ones(2, 4), LOG3), torch.zeros(2, 2, 2), target, "focal")
    alone = prompt_loss(decoded(masks[:1], torch.ones(1, 4), LOG3), torch.zeros(1, 2, 2), target[:1], "focal")
    assert float(both.mask + both.dice + both.iou + both.auxiliary) == pytest.approx(
        float(alone.mask + alone.dice + alone.iou + alone.auxiliary)
    )
    assert float(both.presence) == pytest.approx((-math.log(0.75) - math.log(0.25)) / 2)


def test_loss_without_objects_is_finite():
    terms = prompt_loss(
        decoded(torch.zeros(1, 4, 2, 2), torch.zeros(1, 4)), torch.zeros(1, 2, 2), torch.zeros(1, 2, 2) > 0, "balanced"
    )
    assert float(terms.total) == pytest.approx(math.log(2))


def test_sensitivity_compares_objects_of_one_frame():
    upper, lower = 100 * (TARGET - 0.5), 100 * (TARGET.flip(0) - 0.5)
    frames, objects = torch.tensor([0, 0, 1]), torch.tensor([1, 2, 1])
    assert prompt_sensitivity(torch.stack([upper, lower, upper]), frames, objects) == pytest.approx(1.0)
    assert prompt_sensitivity(torch.stack([upper, upper, lower]), frames, objects) == pytest.approx(0.0)
    assert prompt_sensitivity(torch.stack([upper, lower]), frames[:2], torch.tensor([1, 1])) is None
