"""Pools of clips of the recipes for AVSBench, counted on a tiny tree in the published layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from auralsam2.errors import ConfigError
from auralsam2.training.dataset import training_samples, validation_samples
from auralsam2.training.recipe import DataConfig, TrainingRecipe
from auralsam2.training.semantic_recipe import SemanticRecipe
from auralsam2.training.semantic_run import listed_samples
from helpers.dataset_trees import write_avsbench

RECIPES = Path(__file__).parents[2] / "recipes"
PARTS = {"v1s": 4, "v1m": 3, "v2": 5}
POOLS = {"v1s": ("v1s",), "v1m": ("v1m",), "v2": ("v1s", "v1m", "v2")}
FILES = sorted(path for path in RECIPES.glob("v[12]*.yaml") if "semantic" not in path.name)
SEMANTIC = sorted(RECIPES.glob("v2-semantic-*.yaml"))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        (part, f"{part}{split}{number}_0_5000", split)
        for split in ("train", "val")
        for part, count in PARTS.items()
        for number in range(count)
    ]
    return write_avsbench(tmp_path_factory.mktemp("avsbench"), rows)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_clip_of_a_pool_counts_once(tree: Path, file: Path) -> None:
    data = TrainingRecipe.load(file, [f"data.root={tree}"]).data
    parts = POOLS[file.name.split("-")[0]]
    for split in ("train", "val"):
        ids = [sample.id for sample in training_samples(data, split)]
        assert len(ids) == len(set(ids)) == sum(PARTS[part] for part in parts)
        assert {name.split("/")[0] for name in ids} == set(parts)


@pytest.mark.parametrize("file", SEMANTIC, ids=lambda file: file.stem)
def test_each_clip_of_the_second_stage_counts_once(tree: Path, file: Path) -> None:
    recipe = SemanticRecipe.load(file, [f"data.root={tree}"])
    for split in (recipe.data.split, recipe.data.validation):
        ids = [sample.id for sample in listed_samples(recipe, split)]
        assert len(ids) == len(set(ids)) == sum(PARTS.values())
        assert [name.split("/")[0] for name in ids] == ["v1s"] * 4 + ["v1m"] * 3 + ["v2"] * 5


def test_every_method_and_size_has_a_recipe() -> None:
    assert len(SEMANTIC) == 2
    sam21 = [path for path in FILES if "sam21" in path.name]
    assert len(sam21) == 2
    assert len(FILES) - len(sam21) == 3 * (2 * 2 + 4)


def test_validation_clips_are_spread_over_the_pool(tree: Path) -> None:
    """The first clips would all be of V1S."""
    data = DataConfig(dataset="v2", root=str(tree), validation_clips=6)
    assert [sample.id.split("/")[0] for sample in validation_samples(data)] == ["v1s"] * 2 + ["v1m"] * 2 + ["v2"] * 2
    whole = [sample.id for sample in training_samples(data, "val")]
    for count in (None, 12, 100):
        data = DataConfig(dataset="v2", root=str(tree), validation_clips=count)
        assert [sample.id for sample in validation_samples(data)] == whole


@pytest.mark.parametrize("dataset", ["v1s+v1m+v2", "v2+v1m", "v2-semantic+v1s"])
def test_a_pool_that_holds_clips_twice_is_refused(dataset: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.dataset .*: v2 contains the clips of v1"):
        DataConfig(dataset=dataset, root="data")
