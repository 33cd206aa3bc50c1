"""Eq. 6: against the released code's numbers, and against the equations written as loops."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
import torch.nn.functional as F

from auralsam2.training.config import MaskLossConfig
from auralsam2.training.losses import dice_loss, focal_and_dice, focal_loss, mask_losses
from helpers.loss_inputs import golden_labels, golden_masks
from helpers.rule_weights import golden

PARTS = {"focal": "mask", "dice": "dice", "iou": "iou", "occlusion": "class"}


def test_released_loss() -> None:
    losses = mask_losses(*golden_masks(), golden_labels(), MaskLossConfig.preset("released"))
    expected = golden("losses_metrics")
    for ours, theirs in PARTS.items():
        assert float(getattr(losses, ours)) == pytest.approx(float(expected[f"sam2_loss_{theirs}"]), rel=1e-5), ours
    assert float(losses.total) == pytest.approx(float(expected["sam2_core_loss"]), rel=1e-5)


def by_hand(
    logits: torch.Tensor, ious: torch.Tensor, score: torch.Tensor, label: torch.Tensor, config: MaskLossConfig
) -> dict[str, float]:
    """Eq. 6, pixel by pixel in float64."""
    sums = dict.fromkeys((*PARTS, "total"), 0.0)
    for t in range(len(label)):
        truth = label[t].flatten().tolist()
        masks = []
        for m in range(logits.shape[1]):
            values = logits[t, m].double().flatten().tolist()
            p = [1 / (1 + math.exp(-value)) for value in values]
            focal = 0.0
            for chance, is_object in zip(p, truth, strict=True):
                p_t = chance if is_object else 1 - chance
                focal -= (0.25 if is_object else 0.75) * (1 - p_t) ** 2 * math.log(p_t) / len(p)
            both = sum(chance for chance, is_object in zip(p, truth, strict=True) if is_object)
            dice = 1 - (2 * both + 1) / (sum(p) + sum(truth) + 1)
            marked = [value > 0 for value in values]
            union = sum(a or b for a, b in zip(marked, truth, strict=True))
            iou = sum(a and b for a, b in zip(marked, truth, strict=True)) / max(union, 1)
            masks.append((focal, dice, abs(float(ious[t, m]) - iou)))
        weights = (config.focal, config.dice) if config.choice == "weighted" else (1, 1)
        best = min((weights[0] * mask[0] + weights[1] * mask[1], mask) for mask in masks)[1]
        if any(truth):
            sums["focal"] += best[0]
            sums["dice"] += best[1]
            every = [mask[2] for mask in masks]
            sums["iou"] += sum(every) / len(every) if config.iou_supervision == "all" else best[2]
        chance = 1 / (1 + math.exp(-float(score[t, 0])))
        sums["occlusion"] -= math.log(chance if any(truth) else 1 - chance)
    sums["total"] = sum(getattr(config, part) * sums[part] for part in PARTS)
    return sums


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "config",
    [
        MaskLossConfig(),
        MaskLossConfig(iou_supervision="all"),
        MaskLossConfig(choice="weighted"),
        MaskLossConfig.preset("released", focal=3.0, dice=2.0, iou=0.5, occlusion=4.0),
    ],
    ids=["paper", "all", "weighted", "other weights"],
)
def test_equation_6(seed: int, config: MaskLossConfig) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(4, 3, 5, 5, generator=generator)
    ious, score = torch.rand(4, 3, generator=generator), torch.randn(4, 1, generator=generator)
    label = torch.rand(4, 5, 5, generator=generator) > torch.tensor([0.3, 0.8, 2.0, 0.5])[:, None, None]
    losses = mask_losses(logits, ious, score, label, config)
    for name, value in by_hand(logits, ious, score, label, config).items():
        assert float(getattr(losses, name)) == pytest.approx(value, rel=1e-5), name


def test_focal_and_dice_equal_the_separate_losses() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = (4 * torch.randn(3, 2, 9, 9, generator=generator)).requires_grad_()
    target = torch.rand(3, 1, 9, 9, generator=generator) > torch.tensor([0.2, 0.9, 2.0])[:, None, None, None]
    expected = focal_loss(logits, target.float()), dice_loss(logits, target.float())
    for ours, theirs in zip(focal_and_dice(logits, target), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
        (gradient,) = torch.autograd.grad(ours.sum(), logits, retain_graph=True)
        (wanted,) = torch.autograd.grad(theirs.sum(), logits, retain_graph=True)
        torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize("waking", [False, True])
def test_small_masks_are_resized(waking: bool) -> None:
    """The loss of masks and its gradient equal those of masks resized before."""
    _, ious, score = golden_masks()
    logits = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    large = F.interpolate(logits, size=(64, 64), mode="bilinear", align_corners=False)
    results = [
        mask_losses(masks, ious, score, golden_labels(), MaskLossConfig(), waking=waking).total
        for masks in (logits, large)
    ]
    gradients = [torch.autograd.grad(total, logits)[0] for total in results]
    torch.testing.assert_close(*results)
    torch.testing.assert_close(*gradients)


def test_only_the_best_mask_learns() -> None:
    logits = torch.tensor([[[[-1.0, -1.0]], [[1.0, -1.0]], [[-1.0, 1.0]]]], requires_grad=True)
    ious = torch.full((1, 3), 0.5, requires_grad=True)
    losses = mask_losses(logits, ious, torch.zeros(1, 1), torch.tensor([[[1, 0]]]), MaskLossConfig())
    losses.total.backward()
    assert losses.best.tolist() == [1]
    assert logits.grad is not None
    assert ious.grad is not None
    assert (logits.grad[0, [0, 2]] == 0).all()
    assert (logits.grad[0, 1] != 0).all()
    # Its IoU is 1, predicted 0.5.
    assert ious.grad.tolist() == [[0.0, -1.0, 0.0]]
    assert losses.iou.item() == 0.5


def test_all_ious_learn() -> None:
    """The other masks have an IoU of 0; the mean is over the three."""
    logits = torch.tensor([[[[-1.0, -1.0]], [[1.0, -1.0]], [[-1.0, 1.0]]]])
    ious = torch.full((1, 3), 0.5, requires_grad=True)
    config = MaskLossConfig(iou_supervision="all")
    mask_losses(logits, ious, torch.zeros(1, 1), torch.tensor([[[1, 0]]]), config).total.backward()
    assert ious.grad is not None
    torch.testing.assert_close(ious.grad, torch.tensor([[1.0, -1.0, 1.0]]) / 3)


@pytest.mark.parametrize(("choice", "best"), [("plain", 1), ("weighted", 0)])
def test_choice_of_the_best_mask(choice: Literal["plain", "weighted"], best: int) -> None:
    """Focal and dice are 0.06 and 0.50 for the first mask, 0.13 and 0.20 for the second: the focal weight decides."""
    logits = torch.tensor([[[[-1.0, -1.0, -1.0, -1.0]], [[6.0, 1.0, -6.0, -6.0]]]])
    config = MaskLossConfig(choice=choice)
    losses = mask_losses(logits, torch.zeros(1, 2), torch.zeros(1, 1), torch.tensor([[[1, 0, 0, 0]]]), config)
    assert losses.best.tolist() == [best]
    assert float(losses.focal) == pytest.approx((0.0566, 0.1316)[best], abs=1e-4)
    assert float(losses.dice) == pytest.approx((0.5, 0.1978)[best], abs=1e-4)


def test_a_frame_without_object_teaches_only_that() -> None:
    logits = torch.tensor([[[[3.0, -1.0]]]], requires_grad=True)
    ious = torch.tensor([[0.9]], requires_grad=True)
    score = torch.tensor([[2.0]], requires_grad=True)
    losses = mask_losses(logits, ious, score, torch.zeros(1, 1, 2), MaskLossConfig())
    losses.total.backward()
    assert float(losses.total.detach()) == pytest.approx(math.log1p(math.exp(2)))
    assert logits.grad is not None
    assert ious.grad is not None
    assert score.grad is not None
    assert logits.grad.abs().sum() == 0
    assert ious.grad.abs().sum() == 0
    assert float(score.grad) == pytest.approx(1 / (1 + math.exp(-2)))


def test_frames_add_up() -> None:
    logits, ious, score = golden_masks()
    whole = mask_losses(logits, ious, score, golden_labels(), MaskLossConfig())
    single = [
        mask_losses(logits[t, None], ious[t, None], score[t, None], golden_labels()[t, None], MaskLossConfig())
        for t in range(len(logits))
    ]
    assert float(whole.total) == pytest.approx(sum(float(losses.total) for losses in single), rel=1e-6)
    assert whole.best.tolist() == [int(losses.best) for losses in single]


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([[[[200.0, -200.0, 0.0]]]], requires_grad=True)
    losses = mask_losses(
        logits, torch.ones(1, 1), torch.full((1, 1), -300.0), torch.tensor([[[0, 1, 1]]]), MaskLossConfig()
    )
    losses.total.backward()
    assert torch.isfinite(losses.total)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("form", ["cross_entropy", "cross_entropy+iou"])
def test_losses_of_the_original_baselines(form: str) -> None:
    """Cross-entropy of every candidate on every frame, also on those without an object; and 1 - soft IoU."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 3, 4, 4, generator=generator)
    label = torch.zeros(2, 4, 4)
    label[0, :2, 1:] = 1
    losses = mask_losses(logits, torch.rand(2, 3), torch.randn(2, 1), label, MaskLossConfig(form=form))  # type: ignore[arg-type]
    entropy, soft = 0.0, 0.0
    for t in range(2):
        for m in range(3):
            p, y = logits[t, m].double().sigmoid(), label[t].double()
            entropy -= float((y * p.log() + (1 - y) * (1 - p).log()).mean()) / 3
            both = float((p * y).sum())
            soft += (1 - (both + 1) / (float(p.sum() + y.sum()) - both + 1)) / 3
    assert float(losses.focal) == pytest.approx(entropy, rel=1e-5)
    assert float(losses.total) == pytest.approx(entropy + (soft if form.endswith("iou") else 0), rel=1e-5)
