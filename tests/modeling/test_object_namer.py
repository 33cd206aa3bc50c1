"""Namer: pooled features of masks, saved and loaded heads, and their training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from auralsam2.errors import ConfigError, UnavailableError, UsageError
from auralsam2.hub.download import BUNDLED
from auralsam2.model_folder import load_namer
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.modeling.object_namer import ObjectNamer, pool_features
from auralsam2.training.namer import accuracy, train_head

WIDTH = 8


def features() -> FrameFeatures:
    generator = torch.Generator().manual_seed(0)
    coarse, fine, middle = (
        torch.randn(1, c, s, s, generator=generator)
        for c, s in (
            (
                8,
                4,
            ),
            (1, 16),
            (2, 8),
        )
    )
    return FrameFeatures(coarse, fine, middle)


def test_pooling_by_hand():
    """Columns 0 to 31 of 64: the left half of both maps."""
    frame, mask = features(), torch.zeros(2, 64, 64, dtype=torch.bool)
    mask[0, :, :32] = True
    mask[1, 3, 5] = True  # a pixel lies in one cell of each map
    pooled = pool_features(frame, mask)
    assert pooled.shape == (2, 5 * WIDTH // 2)
    coarse, middle = frame.embedding[0], frame.middle[0]
    half = [coarse[:, :, :2].mean((1, 2)), coarse[:, :, :2].amax((1, 2))]
    half += [middle[:, :, :4].mean((1, 2)), middle[:, :, :4].amax((1, 2))]
    torch.testing.assert_close(pooled[0], torch.cat(half))
    one = torch.cat([coarse[:, 0, 0], coarse[:, 0, 0], middle[:, 0, 0], middle[:, 0, 0]])
    torch.testing.assert_close(pooled[1], one)


def test_a_head_learns_and_is_saved(tmp_path: Path):
    generator = torch.Generator().manual_seed(1)
    centres = 3 * torch.randn(4, 20, generator=generator)
    numbers = torch.randint(0, 4, (400,), generator=generator)
    vectors = centres[numbers] + torch.randn(400, 20, generator=generator)
    names = [("cat", "dog", "goose", "pig")[number] for number in numbers.tolist()]
    namer = train_head(vectors[:300], names[:300], WIDTH, steps=60, hidden=16)
    assert namer.names == ("cat", "dog", "goose", "pig")
    assert accuracy(namer, vectors[300:], names[300:]) > 0.9
    again = train_head(vectors[:300], names[:300], WIDTH, steps=60, hidden=16)
    assert torch.equal(namer(vectors), again(vectors)), "the same seed gives the same weights"
    namer.save(tmp_path)
    loaded = ObjectNamer.load(tmp_path)
    torch.testing.assert_close(loaded(vectors), namer(vectors), atol=0.05, rtol=0.01)
    name = loaded.name(loaded(vectors[300:301])[0])
    assert name.label == names[300]
    assert 0.25 < name.score <= 1


def test_damaged_namers_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="no configuration of a namer"):
        ObjectNamer.load(tmp_path)
    ObjectNamer(("cat",), WIDTH, 16).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for change in ({"names": []}, {"hidden": 10**9}, {"names": ["cat", 3]}, {"width": True}, {"schema": "other"}):
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ConfigError, match=r"out of range|no configuration"):
            ObjectNamer.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"hidden": 32}))
    with pytest.raises(ConfigError, match="do not fit"):
        ObjectNamer.load(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UnavailableError):
        ObjectNamer.load(tmp_path)


def test_the_namer_of_a_model(tmp_path: Path):
    namer = load_namer(BUNDLED / "mini", "mini", 128, True)
    assert namer is not None
    assert {"dog", "goose", "sheep"} <= set(namer.names)
    assert sum(path.stat().st_size for path in (BUNDLED / "mini" / "namer").iterdir()) <= 500_000
    assert load_namer(BUNDLED / "mini", "mini", 128, False) is None
    with pytest.raises(UsageError, match="model v1m has no namer"):
        load_namer(tmp_path, "v1m", 256, True)
    with pytest.raises(UsageError, match="no folder"):
        load_namer(BUNDLED / "mini", "mini", 128, tmp_path / "missing")
    with pytest.raises(ConfigError, match="a model of 128 channels; v1m has 256"):
        load_namer(tmp_path, "v1m", 256, BUNDLED / "mini" / "namer")
