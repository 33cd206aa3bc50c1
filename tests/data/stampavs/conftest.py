"""A small folder of stamps, and what it is read into."""

from __future__ import annotations

from pathlib import Path

import pytest

from auralsam2.data.stampavs.assets import Collection, collect
from auralsam2.data.stampavs.splits import Pool, draw, pool
from toy_stamps import write_stamps


@pytest.fixture(scope="session")
def stamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stamps(tmp_path_factory.mktemp("stamps") / "toys")


@pytest.fixture(scope="session")
def collection(stamps: Path) -> Collection:
    return collect(stamps)


@pytest.fixture(scope="session")
def train(collection: Collection) -> Pool:
    """What training scenes are made of."""
    return pool(collection, draw(collection, 0), "train")
