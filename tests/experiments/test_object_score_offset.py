"""Choice of the object score offset: scores computed by hand."""

from __future__ import annotations

import math

import pytest

import object_score_offset as offsets

SAMPLES = [
    {
        "frames": {
            "j": [0.8, 0.6],
            "f": [0.9, 0.7],
            "truth": [0.1, 0.1],
            "object_score": [3.0, 1.0],
            "predicted_iou": [0.8, 0.4],
            "area": [0.1, 0.2],
        }
    },
    {
        "frames": {
            "j": [0.0, 1.0],
            "f": [0.0, 1.0],
            "truth": [0.0, 0.0],
            "object_score": [0.5, -1],
            "predicted_iou": [0.5, 0.5],
            "area": [0.09, 0.0],
        }
    },
]


def test_a_mask_below_the_offset_counts_as_empty() -> None:
    """At 0.75 the false third mask is removed, at 2 also the correct second one."""
    assert offsets.mean_score(SAMPLES, 0.0, "j") == pytest.approx((0.8 + 0.6 + 0.0 + 1.0) / 4)
    assert offsets.mean_score(SAMPLES, 0.75, "j") == pytest.approx((0.8 + 0.6 + 1.0 + 1.0) / 4)
    assert offsets.mean_score(SAMPLES, 2.0, "f") == pytest.approx((0.9 + 0.0 + 1.0 + 1.0) / 4)


def test_with_text_the_mean_over_the_clip_decides() -> None:
    """Score times IoU has the means 1.4 and -0.125: at 1.3 only the second clip loses its mask, at 1.5 both do."""
    assert offsets.mean_score(SAMPLES, 1.3, "j", text=True) == pytest.approx((0.8 + 0.6 + 1.0 + 1.0) / 4)
    assert offsets.mean_score(SAMPLES, 1.5, "f", text=True) == pytest.approx((0.0 + 0.0 + 1.0 + 1.0) / 4)


def test_null_area_is_a_root_per_clip() -> None:
    assert offsets.null_area(SAMPLES, -1.0) == pytest.approx((math.sqrt(0.15) + math.sqrt(0.045)) / 2)
    assert offsets.null_area(SAMPLES, 1.3) == pytest.approx((math.sqrt(0.15) + 0.0) / 2)
    assert offsets.null_area(SAMPLES, 2.0) == 0.0
