"""Small stamps, recordings, and a recipe of four steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from auralsam2.config import AudioEncoderConfig
from helpers.photograph_sources import CREDIT, KINDS, write_sources, write_table
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


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources with a recording of a kind that StampAVS holds out, and a noise."""
    folder = write_sources(tmp_path_factory.mktemp("recordings") / "sources")
    names = [f"{kind}-{split}.ogg" for split in ("train", "held-out") for kind in KINDS]
    rows = [
        {"file": name, "folder": name.split("-")[0], "category": name.split("-")[0], "split": name[4:-4]} | CREDIT
        for name in names
    ]
    rows.append(rows[0] | {"folder": "zebra", "category": "zebra"})
    rows.append(rows[1] | {"folder": "_ambient", "category": "rain"})
    write_table(folder / "sounds.csv", rows)
    return folder
