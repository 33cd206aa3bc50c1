"""Golden tests of AuralFuser: fuser_avs.npz and fuser_ref.npz, made by the released code."""

import pytest
import torch

from auralsam2.config import FuserConfig
from auralsam2.modeling.aural_fuser import AuralFuser
from auralsam2.modeling.image_encoder import sine_position
from auralsam2.modeling.log_mel import log_mel_examples
from helpers.rule_weights import assert_close, fill, golden, samples, tensor, wave
from helpers.small_networks import rule_audio_encoder

MODALITIES = {"avs": "audio", "ref": "audio+text"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=MODALITIES)
def run(request: pytest.FixtureRequest):
    modality = MODALITIES[request.param]
    fuser = fill(AuralFuser(FuserConfig.preset("released", modality)).eval(), "aural_fuser.")
    pyramid = tuple(tensor(f"fuser/fpn{i}", (5, 256, side, side)) for i, side in enumerate((64, 32, 16)))
    text = tensor("fuser/text", (1, 25, 768))[0] if modality == "audio+text" else None
    with torch.inference_mode():
        tokens = fuser.concat_tokens(rule_audio_encoder()(log_mel_examples(samples(wave(5, "wave_5s")))), text)
        output = fuser.fuse(fuser.embed(pyramid), tokens, sine_position(256, (16, 16), pyramid[0]))
        visual, audible = fuser.project(output)
    return golden(f"fuser_{request.param}"), output, visual, audible


@pytest.mark.parametrize("level", range(3))
def test_prompts(run, level: int) -> None:
    archive, output, _, _ = run
    visual = output.prompts.visual_prompts[level]
    assert_close(visual[:, ::5], archive[f"visual_prompt{level}_tokens"], 1e-4, 1e-5)
    assert_close(torch.stack([visual.mean(), visual.std()]), archive[f"visual_prompt{level}_mean_std"], 1e-6)
    assert_close(output.tokens[level], archive[f"audio_prompt{level}"], 1e-4, 1e-5)
    assert torch.equal(output.prompts.audio_prompts[level], output.tokens[level][:5])


@pytest.mark.parametrize("level", range(3))
def test_projections(run, level: int) -> None:
    archive, _, visual, audible = run
    channels_first = visual[level].transpose(1, 2)
    assert_close(channels_first[:, :, ::5], archive[f"visual_proj{level}"], 1e-4, 1e-5)
    assert_close(
        torch.stack([channels_first.mean(), channels_first.std()]), archive[f"visual_proj{level}_mean_std"], 1e-6
    )
    assert_close(audible[level].unsqueeze(2), archive[f"audio_proj{level}"], 1e-4, 1e-5)
