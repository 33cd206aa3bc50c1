"""Small stamps, and a recipe of six steps of a narrow encoder."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.toy_stamps import write_stamps
from projects.mini.text_network import TextRecipe


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stamps(tmp_path_factory.mktemp("stamps") / "toys")


@pytest.fixture
def recipe(toys: Path, tmp_path: Path) -> TextRecipe:
    return TextRecipe(
        out=str(tmp_path / "run"),
        stamps=str(toys),
        vocabulary=400,
        tokeniser_scenes=6,
        width=32,
        layers=2,
        heads=2,
        feed_forward=64,
        steps=6,
        scenes=2,
        expressions=6,
        null_expressions=3,
        rate=3e-3,
        warm_up=2,
        save_every=2,
        log_every=2,
        test_every=4,
        test_scenes=2,
        final_scenes=3,
    )
