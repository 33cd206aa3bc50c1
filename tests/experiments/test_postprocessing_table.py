"""Scores of post-processing."""

from __future__ import annotations

import numpy as np

from auralsam2.outputs.postprocessing import PostProcessing
from postprocessing import NONE, STEPS, apply_steps


def test_steps_change_masks_of_a_clip() -> None:
    y, x = np.mgrid[:64, :64]
    masks = np.stack([(np.hypot(x - 32, y - 32) < 20) & (np.hypot(x - 32, y - 32) > 4)] * 3)
    masks[1] = False
    masks[0, 60, 60] = True
    changed = {name: apply_steps(masks, steps) for name, steps in STEPS.items()}
    assert np.array_equal(changed[NONE], masks)
    assert not changed["`--min-area 50`"][0, 60, 60]
    assert changed["`--fill-holes`"][0, 32, 32]
    assert changed["`--smooth 3`"][1].any()
    assert np.array_equal(apply_steps(masks, PostProcessing(grow=1))[1], masks[1])
    feathered = changed["`--feather 2`"][2]
    assert not np.array_equal(feathered, masks[2])
    assert (feathered ^ masks[2]).mean() < 0.02
