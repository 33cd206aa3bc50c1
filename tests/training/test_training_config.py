"""Configurations of training are read from plain values, and nonsense is refused by name."""

from __future__ import annotations

import dataclasses

import pytest

from auralsam2.errors import ConfigError
from auralsam2.training.config import AugmentConfig, ContrastConfig, MaskLossConfig, OptimiserConfig
from auralsam2.utils.configs import build_config

KINDS = (MaskLossConfig, ContrastConfig, OptimiserConfig, AugmentConfig)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variant", ["paper", "released"])
def test_round_trip(kind, variant: str) -> None:
    config = kind.preset(variant)
    plain = {
        key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(config).items()
    }
    assert build_config(kind, plain) == config


@pytest.mark.parametrize("kind", KINDS)
def test_the_recipes_differ(kind) -> None:
    assert kind.preset("paper") != kind.preset("released")


@pytest.mark.parametrize("kind", [MaskLossConfig, ContrastConfig, OptimiserConfig])
def test_defaults_are_the_papers(kind) -> None:
    assert kind() == kind.preset("paper")


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (MaskLossConfig, {"focal": -1}, "masks.focal -1 is negative"),
        (MaskLossConfig, {"iou_supervision": "some"}, "iou_supervision is 'some'"),
        (ContrastConfig, {"mode": "simclr"}, "mode is 'simclr'"),
        (ContrastConfig, {"temperature": 0}, "contrast.temperature 0"),
        (ContrastConfig, {"samples": 0}, "contrast.samples 0"),
        (ContrastConfig, {"limit": 0}, "contrast.limit 0"),
        (OptimiserConfig, {"rate": -1e-4}, "optimiser.rate -0.0001 is negative"),
        (AugmentConfig, {"flip": 1.5}, "augment.flip 1.5 is not a probability"),
        (AugmentConfig, {"unseen_voice_prob": 0.5}, "augment.unseen_voice_prob needs augment.remix_audio"),
        (AugmentConfig, {"shear": 90}, "augment.shear 90"),
        (AugmentConfig, {"rotation": -5}, "augment.rotation -5"),
        (AugmentConfig, {"clip_jitter": [0.1, -0.1, 0]}, "augment.clip_jitter -0.1 is negative"),
    ],
)
def test_nonsense_is_refused(kind, values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_config(kind, values)


def test_configurations_and_augmentation_need_no_torch(start) -> None:
    """Recipes are checked in milliseconds, and workers that only prepare clips stay light."""
    code = "import sys, auralsam2.training.augment; print(sorted({'torch', 'transformers'} & sys.modules.keys()))"
    out, err = start("-c", code).communicate(timeout=60)
    assert out.strip() == "[]", err
