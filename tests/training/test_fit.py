"""First weights that fit what they read."""

from __future__ import annotations

import pytest
import torch

from auralsam2.network import AuralNetwork
from auralsam2.training.build import fit, network
from auralsam2.training.recipe import Recipe
from auralsam2.vision.pyramid import encode
from small_training import values, write_parts


def made(folder, variant: str) -> AuralNetwork:
    given = values(folder) | {"variant": variant}
    net = network(Recipe.from_dict(given)).eval()
    with torch.no_grad():
        for convolution in net.sam2.vision_encoder.neck.convs:
            convolution.weight *= 40
    return net


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_parts(tmp_path_factory.mktemp("fit"))


@pytest.mark.parametrize(("variant", "first"), [("paper", 0), ("released", 2)])
@torch.no_grad()
def test_what_is_read_and_prompted_is_of_one_size(folder, variant, first):
    net = made(folder, variant)
    torch.manual_seed(0)
    pixels, log_mel = torch.randn(4, 3, 64, 64), torch.randn(4, 2, 96, 64)
    before = net.fuser.patch_embeds[2].weight.clone()
    fit(net, pixels, log_mel)
    maps = encode(net.sam2, pixels).maps
    assert float(maps[2].std()) > 3
    torch.testing.assert_close(net.fuser.patch_embeds[2].weight, before / maps[2].std())
    assert float(net.audio_encoder(log_mel).std()) == pytest.approx(1.0, rel=0.05)
    frames = net.encode(pixels)
    output = net.fuse(frames, log_mel)
    image = float(maps[2].std())
    for level, prompt in enumerate(output.prompts.visual_prompts):
        assert float(prompt.std()) == pytest.approx(image if level == first else 1.0, rel=0.1)
