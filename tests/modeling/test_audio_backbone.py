"""Audio encoder with a backbone of timm in place of VGGish's convolutions."""

from __future__ import annotations

import pytest
import timm
import torch

from auralsam2.config import AudioEncoderConfig
from auralsam2.errors import ConfigError
from auralsam2.modeling.audio_encoder import MAPS, AudioEncoder, SpectrogramMaps

NAME = "tf_efficientnet_lite0"
CONFIG = AudioEncoderConfig(embedding=8, backbone=NAME)


@pytest.fixture(scope="module")
def encoder() -> AudioEncoder:
    torch.manual_seed(0)
    encoder = AudioEncoder(CONFIG).eval()
    # timm's own random weights: those of transformers make the maps vanish.
    encoder.features.load_image_backbone(timm.create_model(NAME, features_only=True).state_dict())
    return encoder


def spectrograms(count: int) -> torch.Tensor:
    return torch.randn(count, 2, 96, 64, generator=torch.Generator().manual_seed(1))


def test_a_token_holds_the_left_and_the_right_channel(encoder):
    first, second = spectrograms(2)
    tokens = encoder(torch.stack([first, torch.stack([first[0], second[1]]), torch.stack([second[1], first[0]])]))
    assert tokens.shape == (3, 16)
    assert tokens.min() >= 0
    torch.testing.assert_close(tokens[0, :8], tokens[1, :8])
    torch.testing.assert_close(tokens[1], tokens[2].roll(8))
    assert (tokens[0, 8:] - tokens[1, 8:]).abs().max() > 1e-4


def test_vectors_are_means_over_time_and_maxima(encoder):
    maps = encoder.features
    image = spectrograms(1)[:, :1]
    levels = maps.backbone(maps.norm(image).transpose(2, 3))
    assert [tuple(level.shape[2:]) for level in levels] == [(8, 12), (4, 6), (2, 3)]
    vectors = torch.cat([part for level in levels for part in (level.mean(3).flatten(1), level.amax((2, 3)))], 1)
    assert vectors.shape == (1, maps.width)
    torch.testing.assert_close(maps(image), vectors)


def test_weights_for_images_give_the_maps_of_a_grey_image():
    torch.manual_seed(2)
    colour = timm.create_model(NAME, features_only=True, out_indices=(1, *MAPS)).eval()
    maps = SpectrogramMaps(NAME).eval()
    maps.load_image_backbone(colour.state_dict())
    image = torch.randn(1, 1, 64, 96)
    for actual, expected in zip(maps.backbone(image), colour(image.expand(-1, 3, -1, -1))[1:], strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_statistics_change_in_training_only_for_weights_from_images():
    maps = SpectrogramMaps(NAME).train()
    log_mel = spectrograms(1).transpose(0, 1)
    before = {name: value.clone() for name, value in maps.named_buffers()}
    torch.testing.assert_close(maps(log_mel), maps(log_mel))
    assert all(torch.equal(value, before[name]) for name, value in maps.named_buffers())
    maps.from_images = True
    maps.train()(log_mel)
    assert not torch.equal(maps.norm.running_mean, before["norm.running_mean"])


@pytest.mark.parametrize("name", ["nonsense", "vit_tiny_patch16_224"])
def test_unsuitable_backbones_are_refused(name):
    with pytest.raises(ConfigError, match=f"audio_encoder.backbone {name}"):
        AudioEncoder(AudioEncoderConfig(backbone=name))
