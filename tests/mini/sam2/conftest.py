"""Small stamps, a recipe of a few steps, and the model with a random backbone, at 64 pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from transformers import Sam2VideoModel

from helpers.toy_stamps import write_stamps
from projects.mini.sam2_model import mini_sam2
from projects.mini.train_sam2 import PhaseConfig, PromptRecipe

SIZE = 64


@pytest.fixture(scope="session")
def stamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stamps(tmp_path_factory.mktemp("stamps") / "toys")


@pytest.fixture
def mini() -> Sam2VideoModel:
    return mini_sam2(None, SIZE)


@pytest.fixture(scope="session")
def short(stamps: Path, tmp_path_factory: pytest.TempPathFactory) -> PromptRecipe:
    """Three steps per phase, the second phase at another size; each step replaces the whole buffer."""
    small = PhaseConfig(
        size=SIZE,
        steps=3,
        balanced_steps=2,
        warm_up=1,
        clips=2,
        frames=1,
        prompts=4,
        capacity=8,
        initial=8,
        refresh_every=1,
    )
    return PromptRecipe(
        backbone=None,
        out=str(tmp_path_factory.mktemp("runs") / "whole"),
        stamps=str(stamps),
        prompts=small,
        finer=replace(small, size=96),
        memory=replace(small, frames=3, balanced_steps=0),
        save_every=2,
        log_every=1,
        test_every=2,
        test_clips=2,
        final_clips=1,
    )


@pytest.fixture
def recipe(short: PromptRecipe, tmp_path: Path) -> PromptRecipe:
    """`short` with another output folder."""
    return replace(short, out=str(tmp_path / "run"))
