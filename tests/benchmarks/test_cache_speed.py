"""Benchmark of the feature cache on a small run."""

from __future__ import annotations

import re
from pathlib import Path

import torch

import cache_speed
from auralsam2.training import lightning_module
from helpers.small_training import recipe, write_parts


def test_ratio_is_printed_and_cached_epochs_do_not_encode(tmp_path: Path, monkeypatch, capsys):
    threads = torch.get_num_threads()
    config = recipe(write_parts(tmp_path))
    (tmp_path / "recipe.yaml").write_text(config.to_yaml(), encoding="utf-8")
    calls: list[int] = []
    encode = lightning_module.encode_pyramid
    monkeypatch.setattr(lightning_module, "encode_pyramid", lambda *arguments: calls.append(1) or encode(*arguments))
    arguments = [
        "cache_speed", str(tmp_path / "recipe.yaml"), "--clips", "4", "--rounds", "1",
        "--set", "augment.clip_jitter=[0,0,0]", "--set", "augment.frame_jitter=[0,0,0]", "--set", "augment.grayscale=0",
        "--set", "augment.flip=0", "--set", "augment.rotation=0", "--set", "augment.shear=0",
    ]  # fmt: skip
    monkeypatch.setattr("sys.argv", arguments)
    assert cache_speed.main() == 0
    torch.set_num_threads(threads)
    printed = capsys.readouterr().out
    assert re.search(r"without : from the cache = \d+\.\d\d", printed)
    assert len(calls) == 8  # while filling the cache, and without it
