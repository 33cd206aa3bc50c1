"""A small model and a clip of seven seconds: windows of three seconds, the last of them moved back by two."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from auralsam2.config import ClipConfig, Conditioning
from auralsam2.model import AuralSAM2
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.text_encoder import TextEncoder
from helpers.media_files import numbered, write_media
from helpers.small_networks import let_sound_matter, small_config, small_sam2
from helpers.small_text import save_small_text

SIZE, RATE, SECONDS, VIDEO_FPS = 64, 16_000, 7, 4


def small(conditioning: Conditioning = "first", text: Path | None = None) -> AuralSAM2:
    torch.manual_seed(5)
    config = small_config("audio+text" if text else "audio")
    config = dataclasses.replace(config, clip=ClipConfig(frames=3, conditioning=conditioning))
    network = AuralNetwork(config, small_sam2(SIZE), TextEncoder(save_small_text(text)) if text else None)
    let_sound_matter(network)
    return AuralSAM2(network, "small")


@pytest.fixture(scope="session")
def make() -> Callable[..., AuralSAM2]:
    return small


@pytest.fixture(scope="session")
def model() -> AuralSAM2:
    return small()


def noise() -> np.ndarray:
    """The sound of the clip, (n, 2) int16."""
    generator = np.random.default_rng(6)
    return (generator.uniform(-1, 1, (SECONDS * RATE, 2)) * 12_000).astype(np.int16)


@pytest.fixture(scope="session")
def track() -> torch.Tensor:
    """The sound of the clip as the model hears it, (n, 2) float32."""
    return torch.from_numpy(noise() / np.float32(32768))


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_media(
        tmp_path_factory.mktemp("video") / "numbers.mkv",
        [numbered(number) for number in range(SECONDS * VIDEO_FPS)],
        fps=VIDEO_FPS,
        sound=noise(),
        audio_codec="pcm_s16le",
    )


@pytest.fixture
def encoded(model: AuralSAM2, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Frames of each call of the image encoder of `model`."""
    calls: list[int] = []
    stock = model.network.sam2.vision_encoder.forward

    def counted(pixels: torch.Tensor, **options: object) -> object:
        calls.append(len(pixels))
        return stock(pixels, **options)

    monkeypatch.setattr(model.network.sam2.vision_encoder, "forward", counted)
    return calls
