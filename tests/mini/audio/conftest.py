"""Small stamps, and a recipe of four steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from auralsam2.config import AudioEncoderConfig
from helpers.toy_stamps import write_stamps
from projects.mini.train_audio import AudioRecipe


@pytest.fixture(scope="session")
def stamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stamps(tmp_path_factory.mktemp("stamps") / "toys")


@pytest.fixture(scope="session")
def short(stamps: Path, tmp_path_factory: pytest.TempPathFactory) -> AudioRecipe:
    """Four steps of four examples."""
    return AudioRecipe(
        out=str(tmp_path_factory.mktemp("runs") / "whole"),
        stamps=str(stamps),
        encoder=AudioEncoderConfig(channels=(2, 3, 4, 4), hidden=16, embedding=128),
        steps=4,
        batch=4,
        warm_up=1,
        save_every=1,
        log_every=1,
        test_every=2,
        test_examples=6,
        final_examples=40,
    )


@pytest.fixture
def recipe(short: AudioRecipe, tmp_path: Path) -> AudioRecipe:
    """`short` with another output folder."""
    return replace(short, out=str(tmp_path / "run"))
