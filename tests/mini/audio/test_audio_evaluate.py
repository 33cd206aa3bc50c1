"""Figures of the tagger, by hand."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from projects.mini.audio_tagger import TaggerOutput
from projects.mini.train_audio import average_precision, tagging_figures


def test_average_precision_by_hand():
    scores = torch.tensor([[0.9, 0.8, 0.7, 0.1], [0.9, 0.8, 0.7, 0.1]])
    correct = torch.tensor([[True, False, True, False], [False, False, False, True]])
    # True tags at ranks 1 and 3: (1/1 + 2/3) / 2; at rank 4: 1/4.
    assert average_precision(scores, correct).tolist() == pytest.approx([5 / 6, 1 / 4])


def test_figures_by_hand():
    output = TaggerOutput(
        tags=torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0], [0.0, 2.0, 1.0], [0.0, 0.0, 0.0]]),
        positions=torch.tensor([[0.3, 0.0, 0.0], [0.0, 0.6, 0.0], [0.9, 0.5, 0.0], [0.0, 0.0, 0.0]]),
        presence=torch.tensor([3.0, 0.0, 2.0, 1.0]),
    )
    tags = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]]).bool()
    positions = torch.tensor([[0.2, 0.0, 0.0], [0.0, 0.9, 0.0], [1.0, 0.4, 0.0], [0.0, 0.0, 0.0]])
    figures = tagging_figures(output, tags, positions)
    assert (figures.examples, figures.singles, figures.mixtures) == (4, 2, 1)
    assert figures.top1 == 0.5
    assert figures.precision == pytest.approx((1 + 2 / 3) / 2)
    assert figures.position == pytest.approx((0.1 + 0.3 + 0.1 + 0.1) / 4)
    assert figures.centre == pytest.approx((0.3 + 0.4 + 0.5 + 0.1) / 4)
    assert figures.presence == pytest.approx(2 / 3)


def test_undefined_figures_are_none():
    empty = TaggerOutput(tags=torch.zeros(2, 3), positions=torch.zeros(2, 3), presence=torch.zeros(2))
    figures = tagging_figures(empty, torch.zeros(2, 3, dtype=torch.bool), torch.zeros(2, 3))
    assert set(asdict(figures).values()) == {2, 0, None}
