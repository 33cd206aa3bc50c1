"""AuralFuser with attention scope `frame`."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from auralsam2.config import ExtensionsConfig, FuserConfig, ModelConfig
from auralsam2.errors import ConfigError
from auralsam2.modeling.aural_fuser import AuralFuser, FuserOutput
from auralsam2.modeling.cross_fusion import CrossFusion, pointwise
from auralsam2.modeling.extensions import framewise_attention, framewise_cross_attention
from auralsam2.modeling.image_encoder import sine_position

T, WIDTH, GRID, WORDS, TEXT = 3, 64, 8, 5, 24


def make_fuser(scope: str, modality: str = "audio") -> AuralFuser:
    torch.manual_seed(0)
    config = FuserConfig.preset("paper", modality, width=WIDTH, inner_width=16, text_width=TEXT)
    return AuralFuser(config, ExtensionsConfig(attention_scope=scope)).eval()


def fuse(fuser: AuralFuser, audio: torch.Tensor, text: torch.Tensor | None = None) -> FuserOutput:
    torch.manual_seed(1)
    patches = tuple(torch.randn(T, WIDTH, GRID, GRID) for _ in range(3))
    position = sine_position(WIDTH, (GRID, GRID), audio)
    with torch.no_grad():
        return fuser.fuse(patches, fuser.concat_tokens(audio, text), position)


def changed(one: FuserOutput, other: FuserOutput) -> list[bool]:
    """By frame: whether the prompts differ."""
    pairs = zip(
        (*one.prompts.visual_prompts, *one.prompts.audio_prompts),
        (*other.prompts.visual_prompts, *other.prompts.audio_prompts),
        strict=True,
    )
    differ = torch.stack([(a - b).flatten(1).abs().amax(1) > 1e-6 for a, b in pairs])
    return differ.any(0).tolist()


def test_attention_to_one_key_and_a_zero_key_is_a_gate():
    """softmax over (q·k / √d, 0) is the logistic function."""
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 7, 6), torch.randn(2, 1, 6), torch.randn(2, 1, 6)
    expected = torch.sigmoid((query * key).sum(2, keepdim=True) / math.sqrt(6)) * value
    torch.testing.assert_close(framewise_attention(query, key, value, heads=1), expected)


def test_frames_of_one_token_each_take_the_gate():
    """Output and gradients equal those of projected pixels."""
    torch.manual_seed(0)
    module = CrossFusion(FuserConfig.preset("paper", "audio", width=WIDTH, inner_width=16, heads=4), framewise=True)
    inputs = [torch.randn(T, GRID * GRID, WIDTH, requires_grad=True), torch.randn(T, WIDTH, requires_grad=True)]
    visual, aligned = inputs[0], module.align_channel(inputs[1][:, :, None])
    sides = [pointwise(conv, visual).transpose(1, 2) for conv in (module.q_frame, module.k_frame, module.v_frame)]
    tokens = [conv(aligned) for conv in (module.q_audio, module.k_audio, module.v_audio)]
    mixed_v, mixed_a = framewise_cross_attention(tuple(sides), tuple(tokens), module.heads)
    residual = module.W_z(mixed_v).transpose(1, 2)
    expected = (
        module.norm_layer(visual + residual),
        module.norm_layer2((aligned + module.W_z2(mixed_a)).squeeze(2)),
        residual,
    )
    actual = module(*inputs)
    leaves = [*inputs, *module.parameters()]
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    wanted, gradients = (
        torch.autograd.grad(sum(part.square().sin().sum() for part in output), leaves) for output in (expected, actual)
    )
    for ours, theirs in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * (1 + float(theirs.abs().max())))


def test_heads_are_independent():
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 7, 6), torch.randn(2, 4, 6), torch.randn(2, 4, 6)
    full = framewise_attention(query, key, value, heads=2)
    for half in (slice(0, 3), slice(3, 6)):
        alone = framewise_attention(query[..., half], key[..., half], value[..., half], heads=1)
        torch.testing.assert_close(full[..., half], alone)


@pytest.mark.parametrize(("scope", "expected"), [("frame", [False, True, False]), ("clip", [True, True, True])])
def test_audio_reaches_its_own_frame_with_scope_frame(scope, expected):
    fuser = make_fuser(scope)
    audio = torch.randn(T, WIDTH)
    other = audio.clone()
    other[1] += 1.0
    assert changed(fuse(fuser, audio), fuse(fuser, other)) == expected


@torch.no_grad()
def test_framewise_clip_equals_its_frames():
    fuser, audio = make_fuser("frame"), torch.randn(T, WIDTH)
    patches = tuple(torch.randn(T, WIDTH, GRID, GRID) for _ in range(3))
    position = sine_position(WIDTH, (GRID, GRID), audio)
    together = fuser.fuse(patches, fuser.concat_tokens(audio), position).prompts
    for t in range(T):
        alone = fuser.fuse(
            tuple(level[t : t + 1] for level in patches), fuser.concat_tokens(audio[t : t + 1]), position
        ).prompts
        for first, other in zip(alone.visual_prompts, together.frame(t).visual_prompts, strict=True):
            torch.testing.assert_close(first, other, rtol=1e-4, atol=1e-5)
        for first, other in zip(alone.audio_prompts, together.frame(t).audio_prompts, strict=True):
            torch.testing.assert_close(first, other, rtol=1e-4, atol=1e-5)


def test_text_reaches_all_frames():
    fuser = make_fuser("frame", "audio+text")
    audio, text = torch.randn(T, WIDTH), torch.randn(WORDS, TEXT)
    output = fuse(fuser, audio, text)
    assert output.tokens[0].shape == (T + T + WORDS, WIDTH)
    assert changed(output, fuse(fuser, audio, text + 1.0)) == [True] * T


def test_text_relates_all_seconds_to_all_frames():
    fuser = make_fuser("frame", "audio+text")
    audio, text = torch.randn(T, WIDTH), torch.randn(WORDS, TEXT)
    other = audio.clone()
    other[1] += 1.0
    assert changed(fuse(fuser, audio, text), fuse(fuser, other, text)) == [True] * T


@torch.no_grad()
def test_framewise_fusion_of_selected_frames():
    fuser = make_fuser("frame", "audio+text")
    audio, text, outcome = torch.randn(T, WIDTH), torch.randn(WORDS, TEXT), [0, 2]
    patches = tuple(torch.randn(T, WIDTH, GRID, GRID) for _ in range(3))
    position = sine_position(WIDTH, (GRID, GRID), audio)
    full = fuser.fuse(patches, fuser.concat_tokens(audio, text), position).prompts
    tokens = fuser.concat_tokens(audio[outcome], text, clip_audio=audio)
    excerpt = fuser.fuse(tuple(level[outcome] for level in patches), tokens, position).prompts
    for first, other in zip(full.visual_prompts, excerpt.visual_prompts, strict=True):
        torch.testing.assert_close(first[outcome], other, rtol=1e-4, atol=1e-5)


def test_scope_frame_needs_the_paper_variant():
    extensions = ExtensionsConfig(attention_scope="frame")
    with pytest.raises(ConfigError, match="attention_scope"):
        AuralFuser(FuserConfig.preset("released"), extensions)
    with pytest.raises(ConfigError, match="attention_scope"):
        ModelConfig(extensions=extensions)
    with pytest.raises(ConfigError, match="inner_width"):
        AuralFuser(FuserConfig.preset("paper", inner_width=18), extensions)


def test_coarse_mask_is_the_similarity_of_visual_and_audio_embeddings():
    fuser = make_fuser("frame")
    fuser.extensions = dataclasses.replace(fuser.extensions, predict_coarse_mask=True)
    output = fuse(fuser, torch.randn(T, WIDTH))
    with torch.no_grad():
        visual, audio = fuser.project(output)
    expected = torch.einsum("tpc,tc->tp", visual[2], audio[2]).view(T, GRID, GRID) / 0.1
    torch.testing.assert_close(output.prompts.coarse_mask, expected)
    torch.testing.assert_close(output.prompts.frame(1).coarse_mask, expected[1:2])
    assert fuse(make_fuser("frame"), torch.randn(T, WIDTH)).prompts.coarse_mask is None


def test_coarse_mask_needs_scope_frame():
    with pytest.raises(ConfigError, match="predict_coarse_mask"):
        ExtensionsConfig(predict_coarse_mask=True)


@torch.no_grad()
def test_framewise_fuser_without_text_uses_audio_alone():
    reading, hearing = make_fuser("frame", "audio+text"), make_fuser("frame")
    hearing.load_state_dict(reading.state_dict(), strict=False)
    audio = torch.randn(T, WIDTH)
    audio_alone, message = fuse(reading, audio), fuse(reading, audio, torch.randn(WORDS, TEXT))
    assert changed(audio_alone, fuse(hearing, audio)) == [False] * T
    assert changed(audio_alone, message) == [True] * T
    assert audio_alone.tokens[0].shape == (T, WIDTH)
    with pytest.raises(ValueError, match="got text: False"):
        fuse(make_fuser("clip", "audio+text"), audio)
    with pytest.raises(ValueError, match="got text: True"):
        fuse(hearing, audio, torch.randn(WORDS, TEXT))
