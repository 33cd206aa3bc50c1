"""Semantic scores against values that the public AVSBench functions gave (golden/METRICS.md)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from auralsam2.evaluation.semantic import SemanticSums, semantic_sums
from helpers.rule_weights import GOLDEN

FILE = np.load(GOLDEN / "metrics_semantic.npz", allow_pickle=False)
CLIPS = [str(name) for name in FILE["clip_names"]]
SETS = ("real_frames_only", "avsbench_padded", "avsbench_padded_fp")
TOLERANCE = 2e-6


def maps(clip: str) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(FILE[f"{clip}/pred"]), torch.from_numpy(FILE[f"{clip}/gt"])


def check(sums: SemanticSums, prefix: str) -> None:
    assert sums.iou.numpy() == pytest.approx(FILE[f"{prefix}/iou_sum"], abs=TOLERANCE)
    assert sums.f.numpy() == pytest.approx(FILE[f"{prefix}/f_sum"], abs=TOLERANCE)
    assert sums.count.tolist() == FILE[f"{prefix}/count"].tolist()


@pytest.mark.parametrize("clip", CLIPS)
def test_golden_clips(clip):
    predicted, labels = maps(clip)
    check(semantic_sums(predicted, labels), clip)


@pytest.mark.parametrize("name", SETS)
def test_golden_sets(name):
    sums = SemanticSums.zero()
    for clip in FILE[f"set_{name}/clips"]:
        sums = sums + semantic_sums(*maps(str(clip)))
    golden = {key: float(FILE[f"set_{name}/{key}"]) for key in ("miou_71", "f_71", "miou_drop_last", "f_drop_last")}
    golden |= {key: float(FILE[f"set_{name}/{key}"]) for key in ("miou_drop_first", "f_drop_first")}
    got = dict(zip(("miou_71", "f_71"), sums.means(), strict=True))
    got |= zip(("miou_drop_last", "f_drop_last"), sums.means(dropped=-1), strict=True)
    got |= zip(("miou_drop_first", "f_drop_first"), sums.means(dropped=0), strict=True)
    assert got == pytest.approx(golden, abs=TOLERANCE)


def test_golden_scores_with_a_tie():
    logits = torch.from_numpy(FILE["logits6/q"].astype(np.float32) * FILE["logits6/scale"])
    predicted, labels = logits.argmax(1), torch.from_numpy(FILE["logits6/gt"])
    assert predicted[0, 0, 0] == 0  # six classes tie there
    check(semantic_sums(predicted, labels, 6), "logits6")


def test_ignored_pixels_do_not_count():
    labels = torch.tensor([[[0, 1], [255, 255]]])
    predicted = torch.tensor([[[0, 1], [2, 0]]])
    sums = semantic_sums(predicted, labels, 3, ignored=255)
    assert sums.count.tolist() == [1, 1, 0]
    assert sums.iou.tolist() == pytest.approx([1, 1, 0])


def test_nothing_scores_0():
    assert SemanticSums.zero().means() == (0, 0)
