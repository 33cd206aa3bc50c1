"""Average precision of tracks, by hand."""

from __future__ import annotations

import pytest
import torch

from auralsam2.evaluation.track_map import THRESHOLDS, PredictedTrack, track_iou, track_map


def track(*columns: range, frames: int = 2, size: int = 10) -> torch.Tensor:
    """(T, 1, size) bool: columns of each frame."""
    masks = torch.zeros(frames, 1, size, dtype=torch.bool)
    for t, wanted in enumerate(columns):
        masks[t, 0, list(wanted)] = True
    return masks


def test_iou_is_summed_over_frames():
    """4 + 0 common pixels of 6 + 4: an average over frames would be 1/3."""
    assert track_iou(track(range(4), range(4)), track(range(6), range(0))) == pytest.approx(4 / 10)
    assert track_iou(track(range(0)), track(range(0))) == 0


def test_perfect_tracks_and_a_wrong_one():
    truth = [track(range(3), range(3)), track(range(5, 9), range(5, 9))]
    right = [PredictedTrack(masks=mask, score=0.9) for mask in truth]
    assert track_map([(right, truth)]) == {"mAP": 1.0, "AP50": 1.0, "AP75": 1.0}
    wrong = PredictedTrack(masks=track(range(9, 10), range(9, 10)), score=0.95)
    # Ranked first, it lowers the precision to 1/2 at a recall of 1/2 and 2/3 at 1; the better one counts for all.
    assert track_map([([wrong, *right], truth)])["AP50"] == pytest.approx(2 / 3)
    late = PredictedTrack(masks=wrong.masks, score=0.1)
    assert track_map([([*right, late], truth)])["mAP"] == 1.0


def test_one_mask_for_two_objects():
    """Each true track matches once; the union covers 3 of 7 and 4 of 7 pixels."""
    truth = [track(range(3), range(3)), track(range(5, 9), range(5, 9))]
    union = PredictedTrack(masks=truth[0] | truth[1], score=1.0)
    scores = track_map([([union], truth)])
    # IoU 4/7 = 0.571: a hit at 0.5 and 0.55 alone, with a recall of 1/2: 51 of 101 recalls.
    assert scores["AP50"] == pytest.approx(51 / 101)
    assert scores["mAP"] == pytest.approx(2 / len(THRESHOLDS) * 51 / 101)
    assert scores["AP75"] == 0


def test_a_true_track_matches_once_and_missing_ones_count():
    truth = [track(range(3), range(3))]
    twice = [PredictedTrack(masks=truth[0], score=score) for score in (0.9, 0.8)]
    assert track_map([(twice, truth), ([], truth)])["AP50"] == pytest.approx(51 / 101)
    assert track_map([([], truth)]) == {"mAP": 0.0, "AP50": 0.0, "AP75": 0.0}
    assert track_map([(twice, [])]) == {}
