"""How cautious a model should be: what is counted, by hand, and the command."""

from __future__ import annotations

import math

import pytest

import caution

SAMPLES = [
    {"frames": {"j": [0.8, 0.6], "f": [0.9, 0.7], "truth": [0.1, 0.1], "object_score": [3.0, 1.0], "area": [0.1, 0.2]}},
    {"frames": {"j": [0.0, 1.0], "f": [0.0, 1.0], "truth": [0.0, 0.0], "object_score": [0.5, -1], "area": [0.09, 0.0]}},
]


def test_what_falls_below_the_caution_counts_as_empty() -> None:
    """At 0.75 the third mask goes, where nothing was to be found; at 2 the second one, which was right, as well."""
    assert caution.agreement(SAMPLES, 0.0, "j") == pytest.approx((0.8 + 0.6 + 0.0 + 1.0) / 4)
    assert caution.agreement(SAMPLES, 0.75, "j") == pytest.approx((0.8 + 0.6 + 1.0 + 1.0) / 4)
    assert caution.agreement(SAMPLES, 2.0, "f") == pytest.approx((0.9 + 0.0 + 1.0 + 1.0) / 4)


def test_a_sentence_is_doubted_of_the_whole_clip() -> None:
    """Means 2 and -0.25: at 1.5 the first clip keeps both masks, the second loses its first one."""
    assert caution.agreement(SAMPLES, 1.5, "j", reads=True) == pytest.approx((0.8 + 0.6 + 1.0 + 1.0) / 4)
    assert caution.agreement(SAMPLES, 2.5, "f", reads=True) == pytest.approx((0.0 + 0.0 + 1.0 + 1.0) / 4)


def test_what_is_spilt_is_a_root_clip_by_clip() -> None:
    assert caution.spilt(SAMPLES, -1.0) == pytest.approx((math.sqrt(0.15) + math.sqrt(0.045)) / 2)
    assert caution.spilt(SAMPLES, 1.5) == pytest.approx((math.sqrt(0.15) + 0.0) / 2)
    assert caution.spilt(SAMPLES, 2.0) == 0.0
