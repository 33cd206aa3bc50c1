"""Standardisation of channels to mean 0 and deviation 1."""

from __future__ import annotations

import pytest
import torch

from auralsam2.config import ExtensionsConfig, FuserConfig
from auralsam2.modeling.aural_fuser import AuralFuser
from auralsam2.modeling.extensions import ChannelStandardizer


@pytest.mark.parametrize("shape", [(40, 3), (6, 3, 5, 4)])
def test_channels_are_standardised_independently(shape):
    torch.manual_seed(0)
    channel = torch.tensor([1.0, 20.0, 0.0]).view(-1, *[1] * (len(shape) - 2))
    values = torch.randn(shape) * channel + 7 * channel + 2
    standard = ChannelStandardizer(3)
    standard.measure(values)
    even = standard(values).transpose(0, 1).flatten(1)
    torch.testing.assert_close(even.mean(1), torch.zeros(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(even.std(1), torch.tensor([1.0, 1.0, 0.0]), rtol=1e-3, atol=1e-4)


def test_standardizer_on_computed_values():
    standard = ChannelStandardizer(2)
    standard.measure(torch.tensor([[1.0, 10.0], [3.0, 30.0]]))
    # means 2 and 20, deviations √2 and 10 √2
    expected = torch.tensor([[1.0, 2.0]]) / 2**0.5
    torch.testing.assert_close(standard(torch.tensor([[3.0, 40.0]])), expected)


def test_statistics_are_saved_with_the_weights():
    config, extensions = (
        FuserConfig.preset("paper", width=64, inner_width=16),
        ExtensionsConfig(standardize_inputs=True),
    )
    first, other = AuralFuser(config, extensions), AuralFuser(config, extensions)
    maps = tuple(torch.randn(2, 64, side, side) * 9 + 4 for side in (32, 16, 8))
    for standard, level in zip(first.map_standards, maps, strict=True):
        standard.measure(level)
    other.load_state_dict(first.state_dict())
    for a, b in zip(first.embed(maps), other.embed(maps), strict=True):
        assert torch.equal(a, b)
    assert not any("standard" in name for name, _ in first.named_parameters())


def test_gains_scale_prompts_alone():
    torch.manual_seed(0)
    config = FuserConfig.preset("paper", width=64, inner_width=16)
    fuser = AuralFuser(config, ExtensionsConfig(standardize_inputs=True)).eval()
    patches = tuple(torch.randn(2, 64, 8, 8) for _ in range(3))
    tokens, position = fuser.concat_tokens(torch.randn(2, 64)), torch.zeros(1, 64, 8, 8)
    with torch.no_grad():
        before = fuser.fuse(patches, tokens, position)
        fuser.visual_gains[1] = 3.0
        fuser.audio_gains[2] = 0.5
        after = fuser.fuse(patches, tokens, position)
    for level, (visual, audio) in enumerate(((1.0, 1.0), (3.0, 1.0), (1.0, 0.5))):
        torch.testing.assert_close(after.prompts.visual_prompts[level], visual * before.prompts.visual_prompts[level])
        torch.testing.assert_close(after.prompts.audio_prompts[level], audio * before.prompts.audio_prompts[level])
    for first, other in zip(fuser.project(before), fuser.project(after), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
