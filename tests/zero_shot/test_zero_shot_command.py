"""Zero-shot recipes, and `auralsam2 evaluate --zero-shot`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auralsam2.data.class_names import AVSS
from auralsam2.errors import ConfigError
from auralsam2.zero_shot.pipeline_config import ZeroShotConfig
from helpers.dataset_trees import write_stampavs
from helpers.small_zero_shot import LABELS, save_small_pipeline

RECIPE = Path(__file__).parents[2] / "recipes/zero-shot/avsbench.yaml"
SCENES = (("test-seen_00000", "test-seen", "standard", "single", 3),)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_pipeline(tmp_path_factory.mktemp("pipeline"))


def test_recipe_lists_all_classes_of_avsbench():
    plan = ZeroShotConfig.load(RECIPE)
    assert plan.tagger.labels == tuple(name.replace("-", " ") for name in AVSS[1:])
    assert plan.selector.min_score == 0.3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tagger: {labels: [dog, 3]}", "tagger.labels is"),
        ("tagger: {labels: dog}", "tagger.labels is 'dog'"),
        ("tagger: {labels: [dog]}\nselector: {least: 1.0}", "unknown key selector.least"),
    ],
)
def test_invalid_recipe_is_an_error(text: str, message: str, tmp_path: Path):
    path = tmp_path / "pipeline.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        ZeroShotConfig.load(path)


def test_evaluate_scores_the_pipeline(command, small_model, pipeline, tmp_path):
    root = write_stampavs(tmp_path / "stamp", SCENES)
    base = ("evaluate", "--dataset", "stampavs", "--root", root, "--split", "test-seen", "--model", small_model)
    report = tmp_path / "report.json"
    outcome = command(*base, "--zero-shot", pipeline, "--report", report)
    assert outcome.code == 0, outcome.err
    written = json.loads(report.read_text())
    assert written["model"]["name"].startswith("zero-shot on")
    assert "|".join(LABELS) in written["model"]["tagger"]
    other = tmp_path / "other.json"
    assert command(*base, "--report", other).code == 0
    assert json.loads(other.read_text())["samples"] != written["samples"], "the masks differ from those of the model"


@pytest.mark.parametrize("more", [("--prompts", "points"), ("--sound", "shuffled"), ("--select", "first")])
def test_unused_options_are_refused(command, small_model, pipeline, tmp_path, more):
    root = write_stampavs(tmp_path / "stamp", SCENES)
    base = ("evaluate", "--dataset", "stampavs", "--root", root, "--split", "test-seen", "--model", small_model)
    outcome = command(*base, "--zero-shot", pipeline, *more)
    assert outcome.code == 2
    assert "--zero-shot finds sounding objects by its own models" in outcome.err


def test_missing_recipe_is_an_error(command, small_model, tmp_path):
    root = write_stampavs(tmp_path / "stamp", SCENES)
    base = ("evaluate", "--dataset", "stampavs", "--root", root, "--split", "test-seen", "--model", small_model)
    outcome = command(*base, "--zero-shot", tmp_path / "no.yaml")
    assert outcome.code == 2
    assert outcome.error.endswith("give a YAML file or one of recipes/zero-shot/avsbench.yaml")
    assert "no.yaml: no such file" in outcome.error
