"""AuralFuser with fewer levels, or without audio (ablations)."""

from __future__ import annotations

import pytest
import torch

from auralsam2.config import FuserConfig, Modality, ModelConfig, PromptingConfig, Variant
from auralsam2.inference.clip import segment_clip
from auralsam2.modeling.aural_fuser import AuralFuser, FuserOutput
from auralsam2.modeling.image_encoder import sine_position
from auralsam2.modeling.network import AuralNetwork
from helpers.small_networks import small_config, small_sam2

T, WIDTH, GRID, TEXT = 3, 64, 8, 24
SIZES = {"width": WIDTH, "inner_width": 16, "text_width": TEXT, "visual_depths": (1, 1, 1), "token_depth": 1}
PYRAMID = tuple(
    torch.randn(T, WIDTH, scale * GRID, scale * GRID, generator=torch.Generator().manual_seed(scale))
    for scale in (4, 2, 1)
)


def make_fuser(variant: Variant = "paper", modality: Modality = "audio", **changes: object) -> AuralFuser:
    torch.manual_seed(0)
    fuser = AuralFuser(FuserConfig.preset(variant, modality, **SIZES, **changes)).eval()
    for name, parameter in fuser.named_parameters():
        if "W_z" in name and name.endswith("1.weight") and parameter.ndim == 1:
            torch.nn.init.ones_(parameter)  # the released fusion starts as the identity; let tokens matter
    return fuser


@torch.no_grad()
def run(fuser: AuralFuser, audio: torch.Tensor, text: torch.Tensor | None = None) -> FuserOutput:
    position = sine_position(WIDTH, (GRID, GRID), PYRAMID[0])
    return fuser.fuse(fuser.embed(PYRAMID), fuser.concat_tokens(audio, text), position)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_fewer_levels_equal_the_first_levels(variant: Variant) -> None:
    """With the same weights, one or two levels give what the whole pyramid gives there, and hold no others."""
    full = make_fuser(variant)
    audio = torch.randn(T, WIDTH)
    expected = run(full, audio).prompts
    for levels in (1, 2):
        part = make_fuser(variant, levels=levels)
        assert part.state_dict().keys() < full.state_dict().keys()
        part.load_state_dict({name: full.state_dict()[name] for name in part.state_dict()})
        output = run(part, audio)
        assert len(output.prompts.visual_prompts) == len(output.prompts.audio_prompts) == levels
        for k in range(levels):
            assert torch.equal(output.prompts.visual_prompts[k], expected.visual_prompts[k])
            assert torch.equal(output.prompts.audio_prompts[k], expected.audio_prompts[k])
        assert [len(side) for side in part.project(output)] == [levels, levels]


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_without_audio_output_is_independent_of_audio(variant: Variant) -> None:
    first, other = torch.randn(T, WIDTH), torch.randn(T, WIDTH)
    without_audio, hearing = make_fuser(variant, use_audio=False), make_fuser(variant)
    assert torch.equal(
        run(without_audio, first).prompts.visual_prompts[2], run(without_audio, other).prompts.visual_prompts[2]
    )
    assert not torch.equal(run(hearing, first).prompts.visual_prompts[2], run(hearing, other).prompts.visual_prompts[2])


def test_without_audio_prompts_depend_on_text() -> None:
    without_audio = make_fuser(modality="audio+text", use_audio=False)
    audio = torch.randn(T, WIDTH)
    first, other = (run(without_audio, audio, torch.randn(5, TEXT)).prompts for _ in range(2))
    assert not torch.allclose(first.audio_prompts[0], other.audio_prompts[0])
    assert not torch.allclose(first.visual_prompts[0], other.visual_prompts[0])


def test_network_of_one_level_segments_and_has_gradients() -> None:
    """One level, dense prompts alone: the whole network runs, and the gradient reaches sound through the image."""
    config = small_config(width=128, frames=2)
    fuser = FuserConfig.preset("paper", **(SIZES | {"width": 128, "levels": 1}))
    config = ModelConfig(
        sam2=config.sam2,
        audio_encoder=config.audio_encoder,
        fuser=fuser,
        prompting=PromptingConfig(sparse=False),
        clip=config.clip,
    )
    network = AuralNetwork(config, small_sam2(64, width=128)).eval()
    output = segment_clip(network, torch.randn(2, 3, 64, 64), torch.randn(2, 2, 96, 64))
    assert output.frames[1].logits.shape[-1] == 64
    output.frames[0].decoded.logits.sum().backward()
    assert any(parameter.grad is not None for parameter in network.audio_encoder.parameters())


def test_configuration_without_new_options_loads() -> None:
    values = ModelConfig().to_dict()
    for section, names in (("fuser", ("levels", "use_audio")), ("prompting", ("dense", "sparse"))):
        for name in names:
            del values[section][name]
    assert ModelConfig.from_dict(values) == ModelConfig()
