"""Initial weights, and the terms of the loss by hand."""

from __future__ import annotations

import math

import pytest
import torch

from auralsam2.config import AudioEncoderConfig
from auralsam2.modeling.log_mel import log_mel
from projects.mini.audio_data import TaggingBatch
from projects.mini.audio_tagger import AudioTagger, TaggerOutput, tagging_loss

MINI = AudioEncoderConfig(channels=(16, 32, 64, 128), hidden=256, embedding=64)


def test_initial_weights_distinguish_noise_from_silence():
    samples = torch.zeros(2, 2, 15_600)
    samples[1] = 0.1 * torch.randn(2, 15_600, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        token = AudioTagger(MINI, 5, seed=0).audio_encoder(log_mel(samples))
    assert (token[0] - token[1]).abs().mean() > 0.1


def test_seed_determines_the_weights():
    small = AudioEncoderConfig(channels=(2, 2, 2, 2), hidden=4, embedding=4)
    weights, same, other = (AudioTagger(small, 3, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    assert not torch.equal(weights["audio_encoder.features.0.weight"], other["audio_encoder.features.0.weight"])


def test_loss_by_hand():
    # A logit of ln 3 is a probability of 3/4.
    output = TaggerOutput(
        tags=torch.tensor([[math.log(3), -math.log(3)], [0.0, 0.0]]),
        positions=torch.tensor([[0.5, 0.9], [0.1, 0.2]]),
        presence=torch.tensor([math.log(3), 0.0]),
    )
    batch = TaggingBatch(
        log_mel=torch.zeros(0),
        tags=torch.tensor([[True, False], [False, False]]),
        positions=torch.tensor([[0.2, 0.0], [0.0, 0.0]]),
        plain=torch.ones(2, dtype=torch.bool),
    )
    terms = tagging_loss(output, batch)
    assert float(terms.tags) == pytest.approx((-2 * math.log(0.75) - 2 * math.log(0.5)) / 2)
    assert float(terms.position) == pytest.approx(0.09)
    assert float(terms.presence) == pytest.approx((-math.log(0.75) - math.log(0.5)) / 2)


def test_positions_without_sources_have_no_loss():
    output = TaggerOutput(tags=torch.zeros(1, 2), positions=torch.rand(1, 2), presence=torch.zeros(1))
    empty = TaggingBatch(
        log_mel=torch.zeros(0),
        tags=torch.zeros(1, 2, dtype=torch.bool),
        positions=torch.zeros(1, 2),
        plain=torch.ones(1, dtype=torch.bool),
    )
    assert float(tagging_loss(output, empty).position) == 0.0
