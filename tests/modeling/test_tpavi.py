"""TPAVI block: the fast form against the definition, its size, and its use in the fuser."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from auralsam2.config import ExtensionsConfig, FuserConfig
from auralsam2.errors import ConfigError
from auralsam2.modeling.aural_fuser import AuralFuser
from auralsam2.modeling.cross_fusion import TPAVI, tpavi_attention
from auralsam2.modeling.image_encoder import sine_position

SMALL = FuserConfig.preset("paper", fusion="tpavi", width=32, inner_width=16, visual_depths=(1, 1, 1), dropout=0.0)


def plain(theta: torch.Tensor, phi: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """As the original computes it: the affinity of all places with all, the sound spread over the places of a frame."""
    frames, places, channels = theta.shape
    spread = phi[:, None].expand(frames, places, channels).reshape(-1, channels)
    affinity = theta.reshape(-1, channels) @ spread.T / (frames * places)
    return (affinity @ g.reshape(-1, channels)).view_as(theta)


def three() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return (
        torch.randn(3, 10, 8, generator=random, dtype=torch.float64),
        torch.randn(3, 8, generator=random, dtype=torch.float64),
        torch.randn(3, 10, 8, generator=random, dtype=torch.float64),
    )


def test_fast_tpavi_equals_the_definition():
    theta, phi, g = three()
    torch.testing.assert_close(tpavi_attention(theta, phi, g, framewise=False), plain(theta, phi, g))


def test_framewise_tpavi_equals_tpavi_of_each_frame():
    theta, phi, g = three()
    each = torch.cat([plain(theta[t : t + 1], phi[t : t + 1], g[t : t + 1]) for t in range(3)])
    torch.testing.assert_close(tpavi_attention(theta, phi, g, framewise=True), each)


def test_tpavi_has_the_parameter_count_of_the_original():
    block = TPAVI(256, 128, 128, framewise=False)
    assert sum(parameter.numel() for parameter in block.parameters()) == 165_760


@pytest.mark.parametrize("framewise", [False, True])
def test_tpavi_is_the_identity_at_first(framewise):
    block = TPAVI(32, 16, 32, framewise=framewise)
    visual, tokens = torch.randn(2, 9, 32), torch.randn(2, 32)
    fused = block(visual, tokens)
    assert not fused.visual_residual.any()
    assert torch.equal(fused.visual, block.norm_layer(visual))
    assert torch.equal(fused.tokens, block.align_channel(tokens))


@pytest.mark.parametrize("scope", ["clip", "frame"])
def test_network_with_tpavi_depends_on_audio(scope):
    torch.manual_seed(0)
    fuser = AuralFuser(SMALL, ExtensionsConfig(attention_scope=scope)).eval()
    for block in fuser.fusion_modules:
        last = block.out if scope == "frame" else block.batch_norm
        nn.init.normal_(last.weight)
    pyramid = tuple(torch.randn(2, 32, 4 * side, 4 * side) for side in (4, 2, 1))
    position = sine_position(32, (4, 4), pyramid[0])
    tokens = torch.randn(2, 32)
    other = torch.stack([tokens[0], torch.randn(32)])
    with torch.no_grad():
        patches = fuser.embed(pyramid)  # type: ignore[arg-type]
        first, two = (fuser.fuse(patches, audible, position).prompts for audible in (tokens, other))
    for before, after in zip(first.visual_prompts, two.visual_prompts, strict=True):
        changed = (before != after).flatten(1).any(1)
        assert changed.tolist() == ([True, True] if scope == "clip" else [False, True])
    assert all(not torch.equal(a[1], b[1]) for a, b in zip(first.audio_prompts, two.audio_prompts, strict=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modality": "audio+text"}, "fuser.fusion tpavi reads no text"),
        ({"variant": "released"}, "fuser.fusion tpavi needs fuser.variant 'paper'"),
    ],
)
def test_invalid_tpavi_configuration_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(SMALL, **changes)
