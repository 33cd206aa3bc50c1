"""`auralsam2 convert` and `auralsam2 models`."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch

from auralsam2.config import ModelConfig

SHAPES = Path(__file__).parents[1] / "golden" / "state_dict_avs.json.gz"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A fuser-only release: right names and shapes, one shared zero as value."""
    shapes = json.loads(gzip.decompress(SHAPES.read_bytes()))
    table = {
        name.removeprefix("aural_fuser."): torch.zeros(
            (), dtype=torch.int64 if name.endswith("num_batches_tracked") else torch.float32
        ).expand(shape)
        for name, (_, *shape) in shapes.items()
        if name.startswith("aural_fuser.")
    }
    path = tmp_path_factory.mktemp("release") / "auralsam2_avs_v1m.pth"
    torch.save(table, path)
    return path


def test_released_checkpoint_is_converted(command, checkpoint, tmp_path):
    outcome = command("convert", checkpoint, tmp_path / "v1m", "--sam2", "facebook/sam2-hiera-large")
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"{tmp_path / 'v1m'}\n"
    assert ModelConfig.load(tmp_path / "v1m") == ModelConfig.released()


def test_mismatched_checkpoint_lists_keys(command, checkpoint, tmp_path):
    table = torch.load(checkpoint, weights_only=True)
    table["patch_embeds.9.weight"] = table.pop("patch_embeds.0.weight")
    torch.save(table, tmp_path / "odd.pth")
    outcome = command("convert", tmp_path / "odd.pth", tmp_path / "odd")
    assert outcome.code == 2
    for text in ("odd.pth", "missing", "patch_embeds.0.weight", "unexpected", "patch_embeds.9.weight"):
        assert text in outcome.error
    assert not (tmp_path / "odd").exists()


def test_no_such_file(command, tmp_path):
    outcome = command("convert", tmp_path / "gone.pth", tmp_path / "model")
    assert outcome.code == 2
    assert f"{tmp_path / 'gone.pth'}" in outcome.error


def test_models_as_json(command):
    outcome = command("models", "--json")
    assert outcome.code == 0
    assert [entry["name"] for entry in json.loads(outcome.out)] == ["mini", "v1s", "v1m", "v2", "ref-avs"]
