"""J, F and S against values that the public functions of AVSBench, Ref-AVS and AuralSAM2 gave (golden/METRICS.md)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auralsam2.evaluation.metrics import (
    LEVELS,
    PixelCounts,
    f_at,
    f_curves,
    f_score,
    iou,
    jaccard,
    mask_iou,
    threshold_counts,
    threshold_masks,
    thresholds,
)
from helpers.rule_weights import GOLDEN, tensor

BINARY = np.load(GOLDEN / "metrics_binary.npz", allow_pickle=False)
CASES = [str(name) for name in BINARY["case_names"]]
TOLERANCE = 2e-6


def case(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    q, scale, offset = (BINARY[f"{name}/{part}"] for part in ("q", "scale", "offset"))
    logits = (q.astype(np.float32) + offset) * scale
    return torch.from_numpy(logits), torch.from_numpy(BINARY[f"{name}/gt"] > 0)


def call_f(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """F of one call: the maximum of the mean curve over the frames with a target."""
    there = labels.flatten(1).any(1)
    return float(f_curves(torch.sigmoid(logits[there]), labels[there]).mean(0).max()) if there.any() else 0.0


def plain_counts(scores: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The definition: 255 comparisons."""
    reached = [scores >= level for level in thresholds()]
    return (
        torch.stack([pixels.flatten(1).sum(1) for pixels in reached], 1),
        torch.stack([(pixels & labels).flatten(1).sum(1) for pixels in reached], 1),
    )


def test_thresholds():
    assert torch.equal(thresholds(), torch.from_numpy(BINARY["thresholds"]))


@pytest.mark.parametrize("name", CASES)
def test_golden_frames(name):
    logits, labels = case(name)
    for code, threshold in (("avsbench", 0.5), ("refavs", 0.4)):
        expected = torch.from_numpy(BINARY[f"{name}/{code}_J_frame"])
        torch.testing.assert_close(
            jaccard(PixelCounts.of(threshold_masks(logits, threshold), labels)), expected, atol=TOLERANCE, rtol=0
        )
    frames = torch.tensor([call_f(logits[n : n + 1], labels[n : n + 1]) for n in range(len(logits))]).double()
    torch.testing.assert_close(frames, torch.from_numpy(BINARY[f"{name}/avsbench_F_frame"]), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("name", CASES)
def test_golden_precision_and_recall(name):
    logits, labels = case(name)
    selected, hits = threshold_counts(torch.sigmoid(logits), labels)
    precision = hits / (selected + 1e-20)
    recall = hits / (labels.flatten(1).sum(1, keepdim=True) + 1e-20)
    torch.testing.assert_close(precision, torch.from_numpy(BINARY[f"{name}/avsbench_prec"]), atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(recall, torch.from_numpy(BINARY[f"{name}/avsbench_rec"]), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("number", range(len(CASES)), ids=CASES)
def test_golden_calls(number):
    logits, labels = case(CASES[number])
    golden = {key: float(BINARY[f"values/{key}"][number]) for key in ("avsbench_J", "refavs_J", "auralsam2_J")}
    got = {"avsbench_J": 0.5, "refavs_J": 0.4, "auralsam2_J": None}
    for key, threshold in got.items():
        assert float(jaccard(PixelCounts.of(threshold_masks(logits, threshold), labels)).mean()) == pytest.approx(
            golden[key], abs=TOLERANCE
        )
    for code in ("avsbench", "refavs", "auralsam2"):
        assert call_f(logits, labels) == pytest.approx(float(BINARY[f"values/{code}_F"][number]), abs=TOLERANCE)
    share = float(threshold_masks(logits, 0.5).double().mean())
    assert share**0.5 == pytest.approx(float(BINARY["values/refavs_S"][number]), abs=TOLERANCE)
    assert share == pytest.approx(float(BINARY["values/auralsam2_S"][number]), abs=TOLERANCE)


def test_golden_of_the_released_model():
    """`metric_*` of golden/README.md, section losses_metrics."""
    golden = np.load(GOLDEN / "losses_metrics.npz", allow_pickle=False)
    labels = torch.zeros(5, 64, 64, dtype=torch.bool)
    labels[0, 10:30, 12:40] = True
    labels[1, 5:50, 20:33] = True
    labels[3, 30:60, 30:60] = True
    labels[4, 0:8] = True
    logits = 2 * tensor("loss/metric_logits", (5, 64, 64))
    assert float(jaccard(PixelCounts.of(threshold_masks(logits, None), labels)).mean()) == pytest.approx(
        float(golden["metric_iou"]), rel=1e-5
    )
    assert call_f(logits, labels) == pytest.approx(float(golden["metric_f"]), rel=1e-5)
    assert int(threshold_masks(logits, 0.5).sum()) == int(golden["metric_s_positive"])
    assert logits.numel() == int(golden["metric_s_total"])
    logits[1] = 0
    assert call_f(logits, labels) == pytest.approx(float(golden["metric_f_zero_frame"]), rel=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_histogram_equals_the_comparisons(name):
    logits, labels = (maps[:2, :96] for maps in case(name))  # the plain form is slow
    scores = torch.sigmoid(logits)
    for fast, plain in zip(threshold_counts(scores, labels), plain_counts(scores, labels), strict=True):
        assert torch.equal(fast, plain)


def test_histogram_equals_the_comparisons_on_the_thresholds_themselves():
    scores = torch.cat([thresholds(), thresholds().nextafter(torch.tensor(0.0)), torch.tensor([0.0, 1.0])])
    scores = scores.repeat(2).view(2, 1, -1)
    labels = torch.rand(scores.shape, generator=torch.Generator().manual_seed(0)) > 0.5
    for fast, plain in zip(threshold_counts(scores, labels), plain_counts(scores, labels), strict=True):
        assert torch.equal(fast, plain)
    assert threshold_counts(scores, labels)[0].shape == (2, LEVELS)


@st.composite
def frames(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    n, h, w = (draw(st.integers(1, 5)) for _ in range(3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    logits = torch.randn(n, h, w, generator=generator) * draw(st.sampled_from([0.1, 1.0, 10.0, 100.0]))
    return logits, torch.rand(n, h, w, generator=generator) > draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))


@given(frames())
@settings(deadline=None)
def test_scores_lie_between_0_and_1(data):
    logits, labels = data
    counts = PixelCounts.of(threshold_masks(logits, 0.4), labels)
    for scores in (
        jaccard(counts),
        f_curves(torch.sigmoid(logits), labels),
        f_at(counts),
        iou(counts.both, counts.either),
    ):
        assert ((scores >= 0) & (scores <= 1 + 1e-6)).all()


@given(frames())
@settings(deadline=None)
def test_what_is_perfect_scores_1(data):
    _, labels = data
    logits = labels.float() * 20 - 10
    for threshold in (None, 0.4, 0.5):
        assert jaccard(PixelCounts.of(threshold_masks(logits, threshold), labels)).numpy() == pytest.approx(1, abs=1e-6)
    same = PixelCounts.of(labels, labels)
    assert f_at(same).tolist() == mask_iou(labels, labels).tolist() == [1.0] * len(labels)
    there = labels.flatten(1).any(1)
    assert f_curves(torch.sigmoid(logits[there]), labels[there]).amax(1).numpy() == pytest.approx(1, abs=1e-6)


def test_f_of_a_mask_and_iou_count_by_hand():
    label = torch.zeros(4, 2, 3, dtype=torch.bool)
    label[:2, 0] = True  # three of six pixels
    mask = torch.zeros_like(label)
    mask[0, :, 0] = True  # one hit, one miss
    mask[2, 0, 0] = True
    counts = PixelCounts.of(mask, label)
    assert f_at(counts).tolist() == pytest.approx([1.3 * (1 / 2) * (1 / 3) / (0.3 / 2 + 1 / 3), 0, 0, 1])
    assert iou(counts.both, counts.either).tolist() == mask_iou(mask, label).tolist() == [1 / 4, 0, 0, 1]
    assert [float(mask_iou(*pair)) for pair in zip(mask.numpy(), label.numpy(), strict=True)] == [1 / 4, 0, 0, 1]
    assert f_score(torch.zeros(1), torch.zeros(1)).item() == 0
