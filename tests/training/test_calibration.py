"""What a fuser that standardises measures before it is trained."""

from __future__ import annotations

import pytest
import torch

from auralsam2.modeling.image_encoder import encode_pyramid
from auralsam2.modeling.network import AuralNetwork
from auralsam2.training.initialise import build_network, calibrate_fuser
from auralsam2.training.recipe import TrainingRecipe
from helpers.small_training import values, write_parts

SOUND, PIXELS = (4, 2, 96, 64), (4, 3, 64, 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_parts(tmp_path_factory.mktemp("fit"))


def fitted(folder, variant: str, **extensions: object) -> tuple[AuralNetwork, torch.Tensor, torch.Tensor]:
    """A network whose maps are forty times as large as they come, after `fit`, and what it was shown and played."""
    given = values(folder) | {"variant": variant}
    given["model"]["extensions"] = {"standardize_inputs": True} | extensions
    net = build_network(TrainingRecipe.from_dict(given)).eval()
    with torch.no_grad():
        for convolution in net.sam2.vision_encoder.neck.convs:
            convolution.weight *= 40
        for weight in net.audio_encoder.parameters():
            weight *= 3  # as they come, all sounds are nearly one
    torch.manual_seed(0)
    pixels, log_mel = torch.randn(PIXELS), torch.randn(SOUND)
    calibrate_fuser(net, pixels, log_mel)
    return net, pixels, log_mel


@pytest.mark.parametrize(("variant", "first"), [("paper", 0), ("released", 2)])
@torch.no_grad()
def test_what_is_read_and_prompted_is_of_one_size(folder, variant, first):
    net, pixels, log_mel = fitted(folder, variant)
    maps = encode_pyramid(net.sam2, pixels).maps
    image = float(maps[2].std())
    assert image > 3
    for standard, level in zip(net.fuser.map_standards, maps, strict=True):
        assert float(standard(level).std()) == pytest.approx(1.0, rel=0.01)
    spoken = net.fuser.concat_tokens(net.audio_encoder(log_mel)).std(0)
    assert float(spoken.max()) == pytest.approx(1.0, rel=0.01)
    prompts = net.fuse(net.encode(pixels), log_mel).prompts.visual_prompts
    for number, prompt in enumerate(prompts):
        assert float(prompt.std()) == pytest.approx(image if number == first else 1.0, rel=0.1)


@torch.no_grad()
def test_beside_a_drawn_mask_prompts_begin_faint(folder):
    net, pixels, log_mel = fitted(folder, "paper", attention_scope="frame", predict_coarse_mask=True)
    prompts = net.fuse(net.encode(pixels), log_mel).prompts
    for prompt in (*prompts.visual_prompts, *prompts.audio_prompts):
        assert float(prompt.std()) == pytest.approx(0.1, rel=0.1)
    assert prompts.coarse_mask is not None
    assert float(prompts.coarse_mask.std()) > 0.1
