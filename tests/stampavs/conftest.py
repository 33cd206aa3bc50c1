"""A small folder of stamps and its collection."""

from __future__ import annotations

from pathlib import Path

import pytest

from auralsam2.stampavs.assets import AssetCollection, collect_assets
from auralsam2.stampavs.splits import AssetPool, asset_pool, draw_splits
from helpers.toy_stamps import write_stamps


@pytest.fixture(scope="session")
def stamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stamps(tmp_path_factory.mktemp("stamps") / "toys")


@pytest.fixture(scope="session")
def collection(stamps: Path) -> AssetCollection:
    return collect_assets(stamps)


@pytest.fixture(scope="session")
def train(collection: AssetCollection) -> AssetPool:
    """What training scenes are made of."""
    return asset_pool(collection, draw_splits(collection, 0), "train")
