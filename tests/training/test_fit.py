"""First weights that fit what they read."""

from __future__ import annotations

import copy

import pytest
import torch

from auralsam2.network import AuralNetwork
from auralsam2.training.build import fit, network
from auralsam2.training.recipe import Recipe
from auralsam2.vision.pyramid import encode
from small_training import values, write_parts


def made(folder, changes: dict[str, str], **fuser: object) -> AuralNetwork:
    given = values(folder) | changes
    given["model"]["fuser"] |= fuser
    net = network(Recipe.from_dict(given)).eval()
    with torch.no_grad():
        for convolution in net.sam2.vision_encoder.neck.convs:
            convolution.weight *= 40
        for weight in net.audio_encoder.parameters():
            weight *= 3  # as they come, all sounds are nearly one
    return net


def spread(net: AuralNetwork, log_mel: torch.Tensor) -> torch.Tensor:
    """Deviation of each number of the tokens of left and right."""
    return net.audio_encoder(log_mel).unflatten(1, (2, -1)).flatten(0, 1).std(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_parts(tmp_path_factory.mktemp("fit"))


SOUND, PIXELS = (4, 2, 96, 64), (4, 3, 64, 64)


@pytest.mark.parametrize(("variant", "first"), [("paper", 0), ("released", 2)])
@torch.no_grad()
def test_what_is_read_and_prompted_is_of_one_size(folder, variant, first):
    net = made(folder, {"variant": variant})
    torch.manual_seed(0)
    pixels, log_mel = torch.randn(PIXELS), torch.randn(SOUND)
    before = copy.deepcopy(net.fuser.patch_embeds[2])
    spoken = spread(net, log_mel) > 1e-3
    assert spoken.any()
    fit(net, pixels, log_mel)
    level = encode(net.sam2, pixels).maps[2]
    image = float(level.std())
    assert image > 3
    even = (level - level.mean((0, 2, 3), keepdim=True)) / level.std((0, 2, 3), keepdim=True)
    torch.testing.assert_close(net.fuser.patch_embeds[2](level), before(even), rtol=1e-3, atol=1e-3)
    even = spread(net, log_mel)[spoken]
    torch.testing.assert_close(even, torch.ones_like(even), rtol=1e-3, atol=1e-3)
    prompts = net.fuse(net.encode(pixels), log_mel).prompts.visual_prompts
    for number, prompt in enumerate(prompts):
        assert float(prompt.std()) == pytest.approx(image if number == first else 1.0, rel=0.1)


@torch.no_grad()
def test_beside_a_drawn_mask_prompts_begin_faint(folder):
    net = made(folder, {"variant": "paper"}, scope="frame", draws=True)
    torch.manual_seed(0)
    pixels, log_mel = torch.randn(PIXELS), torch.randn(SOUND)
    fit(net, pixels, log_mel)
    prompts = net.fuse(net.encode(pixels), log_mel).prompts
    for prompt in (*prompts.visual_prompts, *prompts.audio_prompts):
        assert float(prompt.std()) == pytest.approx(0.1, rel=0.1)
    assert prompts.drawn is not None
    assert float(prompts.drawn.std()) > 0.1
