"""Weighted means of model folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from auralsam2.errors import EXIT_UNUSABLE
from projects.mini.average import main


@pytest.fixture
def models(tmp_path) -> tuple[Path, Path]:
    """Two folders of weights: 1 and 3 everywhere, and a counter."""
    folders = tmp_path / "first", tmp_path / "second"
    for folder, value in zip(folders, (1.0, 3.0), strict=True):
        for part in (folder, folder / "sam2"):
            part.mkdir()
            (part / "config.json").write_text(f'{{"value": {value}}}')
            tensors = {"weight": torch.full((2, 3), value), "count": torch.tensor(int(value))}
            save_file(tensors, part / "model.safetensors")
    return folders


def test_mean_of_all_weights(models, tmp_path):
    first, second = models
    assert main([f"{first}=0.25", f"{second}=0.75", "--out", str(tmp_path / "out")]) == 0
    for part in ("", "sam2"):
        state = load_file(tmp_path / "out" / part / "model.safetensors")
        assert torch.equal(state["weight"], torch.full((2, 3), 2.5, dtype=torch.float16))
        assert state["count"] == 1
        assert (tmp_path / "out" / part / "config.json").read_text() == '{"value": 3.0}'


@pytest.mark.parametrize(
    ("shares", "message"),
    [(("0.5", "0.4"), "sum to 1"), (("1",), "two models"), (("0.5", "half"), "a model and its share")],
)
def test_shares_are_checked(models, tmp_path, capsys, shares, message):
    arguments = [f"{model}={share}" for model, share in zip(models, shares, strict=False)]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == EXIT_UNUSABLE
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_another_architecture_is_refused(models, tmp_path, capsys):
    first, second = models
    save_file({"weight": torch.ones(4)}, second / "sam2" / "model.safetensors")
    shutil.copy(first / "model.safetensors", second / "model.safetensors")
    assert main([f"{first}=0.5", f"{second}=0.5", "--out", str(tmp_path / "out")]) != 0
    assert "one architecture" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
