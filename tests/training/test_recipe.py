"""Recipes: layers, presets, changes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from auralsam2.errors import ConfigError, UsageError
from auralsam2.training.config import AugmentConfig, ContrastConfig, OptimiserConfig
from auralsam2.training.recipe import Recipe

RECIPES = Path(__file__).parents[2] / "recipes"
FILES = sorted(RECIPES.glob("*.yaml"))
SMALL = "model: {sam2: there}\ndata: {dataset: stampavs, root: stamp}\n"


def write(folder: Path, text: str, name: str = "small.yaml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_recipe_builds_and_comes_back(file, tmp_path):
    recipe = Recipe.load(file)
    assert Recipe.load(write(tmp_path, recipe.to_yaml())) == recipe
    for preset in ("paper", "released"):
        if file.stem.endswith(preset):
            assert (recipe.variant, recipe.preset) == (preset, preset)


def test_there_is_a_recipe_for_each_data_set_backbone_and_preset():
    names = {file.stem for file in FILES}
    wanted = {
        f"{data}-{backbone}-{preset}"
        for data in ("v1s", "v1m", "v2", "ref-avs")
        for backbone in ("large", "base-plus")
        for preset in ("paper", "released")
    }
    baselines = {
        f"{data}-base-plus-{method}" for data in ("v1s", "v1m", "v2", "ref-avs") for method in ("gavs", "sama")
    }
    own = ("fuser", "words", "words-2", "words-3", "ablations", "tpavi")
    mini = {f"stampavs-mini-{name}" for name in (*own, "gavs", "sama", "gavs-words", "sama-words")}
    assert names == wanted | baselines | mini


@pytest.mark.parametrize(
    ("name", "epochs", "accumulate", "decay", "hearing"),
    [
        # Paper, supplement 6.1; the launchers of the released code.
        ("v1s-large-paper", 180, 1, 0.01, 0.1),
        ("ref-avs-base-plus-paper", 180, 1, 0.01, 0.1),
        ("v1s-large-released", 140, 4, 0.05, 0),
        ("v1m-base-plus-released", 140, 4, 0.05, 0),
        ("v2-large-released", 90, 4, 0.05, 0),
        ("ref-avs-large-released", 50, 4, 0.05, 0),
    ],
)
def test_published_hyper_parameters(name, epochs, accumulate, decay, hearing):
    recipe = Recipe.load(RECIPES / f"{name}.yaml")
    assert (recipe.trainer.epochs, recipe.trainer.accumulate) == (epochs, accumulate)
    assert (recipe.optimiser.weight_decay, recipe.optimiser.audio_encoder_rate) == (decay, hearing)
    assert recipe.optimiser.rate == 1e-4
    assert recipe.trainer.conditioning == "middle"
    with_text = name.startswith("ref")
    assert recipe.model.clip.frames == (10 if with_text or name.startswith("v2") else 5)
    assert recipe.model.clip.conditioning == ("middle" if with_text else "first")
    assert (recipe.model.text is not None) == with_text
    assert recipe.contrast.samples == (256 if name == "ref-avs-large-released" else 512)


def test_presets_fill_what_is_not_said(tmp_path):
    text = SMALL + "preset: released\noptimiser: {rate: 1e-3}\n"
    recipe = Recipe.load(write(tmp_path, text))
    assert recipe.optimiser == OptimiserConfig.preset("released", rate=1e-3)
    assert recipe.contrast == ContrastConfig.preset("released")
    assert recipe.augment == AugmentConfig.preset("released")
    assert recipe.model.fuser.variant == "paper"


def test_changes_have_types(tmp_path):
    file = write(tmp_path, SMALL)
    recipe = Recipe.load(
        file,
        [
            "trainer.max_steps=200",
            "optimiser.rate=5e-4",
            "optimiser.betas=[0.8, 0.9]",
            "contrast.mode=none",
            "contrast.limit=null",
            "augment.swap_sound=true",
            "model.clip.frames=10",
        ],
    )
    assert recipe.trainer.max_steps == 200
    assert recipe.optimiser.rate == 0.0005
    assert recipe.optimiser.betas == (0.8, 0.9)
    assert recipe.contrast.mode == "none"
    assert recipe.contrast.limit is None
    assert recipe.augment.swap_sound
    assert recipe.model.clip.frames == 10


def test_later_layers_win(tmp_path):
    write(tmp_path, SMALL + "trainer: {epochs: 1, seed: 5}\n", "a.yaml")
    write(tmp_path, "trainer: {epochs: 2}\n", "b.yaml")
    recipe = Recipe.load(write(tmp_path, "base: [a.yaml, b.yaml]\ntrainer: {accumulate: 3}\n"))
    assert (recipe.trainer.epochs, recipe.trainer.seed, recipe.trainer.accumulate) == (2, 5, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("trainer.steps=2", r"unknown key trainer\.steps"),
        ("colour=2", "unknown key colour"),
        ("model.fuser.depth=2", r"unknown key model\.fuser\.depth"),
        ("trainer.max_steps=two", r"trainer\.max_steps is 'two'"),
        ("trainer.max_steps=0", r"trainer\.max_steps 0"),
        ("optimiser.rate=-1", r"optimiser\.rate -1"),
        ("variant=best", "variant is 'best'"),
        ("model.fuser.variant=released", r"model\.fuser\.variant"),
        ("model.fuser.modality=audio+text", "text encoder None"),
        ("data=stamp", "data is 'stamp'"),
        ("trainer.seed=[", "no YAML"),
        ("data.root.x=1", "a value, not a section"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        Recipe.load(write(tmp_path, SMALL), [change])


def test_unreadable_files_and_circles_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"nothing\.yaml"):
        Recipe.load(tmp_path / "nothing.yaml")
    with pytest.raises(UsageError, match="KEY=VALUE"):
        Recipe.load(write(tmp_path, SMALL), ["trainer.seed"])
    with pytest.raises(ConfigError, match="circle"):
        Recipe.load(write(tmp_path, "base: [small.yaml]\n"))
    with pytest.raises(ConfigError, match="not a mapping"):
        Recipe.load(write(tmp_path, "- 1\n"))


def test_steps_of_an_epoch(tmp_path):
    file = write(tmp_path, SMALL)
    trainer = Recipe.load(file, ["trainer.epochs=3", "trainer.accumulate=2", "trainer.devices=4"]).trainer
    assert trainer.steps(10) == 4  # 30 clips, 8 a step
    assert Recipe.load(file, ["trainer.max_steps=7"]).trainer.steps(10) == 7
