"""A local hub, and a small released model on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import utils as hub_utils

from auralsam2.config import AudioEncoderConfig, ClipConfig, FuserConfig, ModelConfig
from auralsam2.hub.convert import fuser_shapes
from helpers.local_hub import LocalHub


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A local hub, and empty caches."""
    local = LocalHub()
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    # Recent releases ask the hub which coding agents there are, once a day.
    monkeypatch.setattr("huggingface_hub.utils._headers.detect_agent", lambda: None, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", local.url + "/")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("AURALSAM2_CACHE", str(tmp_path / "cache"))
    hub_utils.close_session()
    yield local
    local.close()
    hub_utils.close_session()


@pytest.fixture
def narrow_release(server: LocalHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., bytes]:
    """Publishes a small checkpoint under the name `v1s` on the local hub, for a SAM 2 of `width` channels."""
    sizes = {"inner_width": 8, "heads": 2, "visual_depths": (1, 1, 1), "token_depth": 1, "width": 32}

    def released(modality: str = "audio", *, frames: int | None = None, **parts: str) -> ModelConfig:
        return ModelConfig(
            audio_encoder=AudioEncoderConfig(channels=(2, 2, 2, 2), hidden=8, embedding=sizes["width"] // 2),
            fuser=FuserConfig(**sizes),
            clip=ClipConfig(frames=frames or 5),
            **parts,
        )

    def publish(width: int = 32) -> bytes:
        sizes["width"] = width
        shapes = fuser_shapes(ModelConfig.released())
        generator = torch.Generator().manual_seed(0)
        weights = {
            name: torch.tensor(1) if name.endswith("num_batches_tracked") else torch.rand(shape, generator=generator)
            for name, shape in shapes.items()
        }
        torch.save(weights, tmp_path / "release.pth")
        content = (tmp_path / "release.pth").read_bytes()
        server.add("yyliu01/AuralSAM2", {"ckpts/auralsam2_avs_v1s.pth": content})
        return content

    monkeypatch.setattr(ModelConfig, "released", released)
    return publish
