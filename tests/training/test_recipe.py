"""Recipes: layers, presets, changes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from auralsam2.errors import ConfigError, UsageError
from auralsam2.training.config import AugmentConfig, ContrastConfig, OptimiserConfig
from auralsam2.training.recipe import TrainingRecipe

RECIPES = Path(__file__).parents[2] / "recipes"
FILES = sorted(path for path in RECIPES.glob("*.yaml") if "semantic" not in path.name)
SMALL = "model: {sam2: there}\ndata: {dataset: stampavs, root: stamp}\n"


def write(folder: Path, text: str, name: str = "small.yaml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_recipe_builds_and_comes_back(file, tmp_path):
    recipe = TrainingRecipe.load(file)
    assert TrainingRecipe.load(write(tmp_path, recipe.to_yaml())) == recipe
    for preset in ("paper", "released"):
        if file.stem.endswith(preset):
            assert (recipe.variant, recipe.preset) == (preset, preset)
    if file.stem.startswith("ref-avs"):
        released = file.stem.endswith("released")
        assert recipe.model.text == ("distilbert/distilroberta-base" if released else "FacebookAI/roberta-base")


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
    baselines |= {f"{data}-base-plus-{method}-original" for data in ("v1s", "v1m", "v2") for method in ("gavs", "sama")}
    own = ("fuser", "words", "words-2", "words-3", "prompts", "prompts-2", "prompts-3", "tpavi")
    ablations = ("ablations", "ablations-continued")
    mini = {f"stampavs-mini-{name}" for name in (*own, *ablations, "gavs", "sama", "gavs-words", "sama-words")}
    smaller = {"v1s-tiny-sam21-paper", "v1s-base-plus-sam21-paper"}
    assert names == wanted | baselines | mini | smaller


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
    recipe = TrainingRecipe.load(RECIPES / f"{name}.yaml")
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
    recipe = TrainingRecipe.load(write(tmp_path, text))
    assert recipe.optimiser == OptimiserConfig.preset("released", rate=1e-3)
    assert recipe.contrast == ContrastConfig.preset("released")
    assert recipe.augment == AugmentConfig.preset("released")
    assert recipe.model.fuser.variant == "paper"


def test_changes_have_types(tmp_path):
    file = write(tmp_path, SMALL)
    recipe = TrainingRecipe.load(
        file,
        [
            "trainer.max_steps=200",
            "optimiser.rate=5e-4",
            "augment.clip_jitter=[0.1, 0, 0.2]",
            "contrast.mode=none",
            "contrast.limit=null",
            "augment.swap_sound=true",
            "model.clip.frames=10",
        ],
    )
    assert recipe.trainer.max_steps == 200
    assert recipe.optimiser.rate == 0.0005
    assert recipe.augment.clip_jitter == (0.1, 0, 0.2)
    assert recipe.contrast.mode == "none"
    assert recipe.contrast.limit is None
    assert recipe.augment.swap_sound
    assert recipe.model.clip.frames == 10


def test_later_layers_win(tmp_path):
    write(tmp_path, SMALL + "trainer: {epochs: 1, seed: 5}\n", "a.yaml")
    write(tmp_path, "trainer: {epochs: 2}\n", "b.yaml")
    recipe = TrainingRecipe.load(write(tmp_path, "base: [a.yaml, b.yaml]\ntrainer: {accumulate: 3}\n"))
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
        TrainingRecipe.load(write(tmp_path, SMALL), [change])


def test_unreadable_files_and_circles_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"nothing\.yaml"):
        TrainingRecipe.load(tmp_path / "nothing.yaml")
    with pytest.raises(UsageError, match="KEY=VALUE"):
        TrainingRecipe.load(write(tmp_path, SMALL), ["trainer.seed"])
    with pytest.raises(ConfigError, match="circle"):
        TrainingRecipe.load(write(tmp_path, "base: [small.yaml]\n"))
    with pytest.raises(ConfigError, match="not a mapping"):
        TrainingRecipe.load(write(tmp_path, "- 1\n"))


def test_steps_of_an_epoch(tmp_path):
    file = write(tmp_path, SMALL)
    trainer = TrainingRecipe.load(file, ["trainer.epochs=3", "trainer.accumulate=2", "trainer.devices=4"]).trainer
    assert trainer.steps(10) == 4  # 30 clips, 8 a step
    assert TrainingRecipe.load(file, ["trainer.max_steps=7"]).trainer.steps(10) == 7


IMPOSSIBLE = {
    "deep": "[" * 20_000,
    "deep mapping": SMALL + "losses: " + "{a: " * 200 + "1" + "}" * 200,
    "date": "model: 2021-13-45\ndata: {}\n",
    "date alone": "2021-02-30",
    "long integer": SMALL + "trainer: {max_steps: 1" + "0" * 5000 + "}\n",
    "long hexadecimal": SMALL + "trainer: {max_steps: 0x" + "f" * 9000 + "}\n",
    "integer of 70 bits": SMALL + "trainer: {max_steps: 0x" + "f" * 18 + "}\n",
    "digits that are none": SMALL + "trainer: {seed: 0b_}\n",
    "empty integer": SMALL + "trainer: {seed: !!int ''}\n",
    "timestamp": SMALL + "trainer: {seed: !!timestamp soon}\n",
    "set": SMALL + "losses: !!set {a, b}\n",
    "binary": SMALL + "out: !!binary aGVsbG8=\n",
    "keys of several types": SMALL + "trainer: {1: 2, a: 3}\n",
    "circular alias": SMALL + "losses: &a {b: *a}\n",
    "infinity": SMALL + "optimiser: {rate: .inf}\n",
    "not a number": SMALL + "optimiser: {rate: .nan}\n",
    "no heads": "model: {sam2: there, fuser: {heads: 0}}\ndata: {dataset: stampavs, root: stamp}\n",
    "negative heads": "model: {sam2: there, fuser: {heads: -1}}\ndata: {dataset: stampavs, root: stamp}\n",
    "levels": "model: {sam2: there, fuser: {levels: true}}\ndata: {dataset: stampavs, root: stamp}\n",
    "width": "model: {sam2: there, audio_encoder: {hidden: 1000000000}}\ndata: {dataset: stampavs, root: stamp}\n",
    "too large": SMALL + "# " + "x" * 200_000,
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_files_are_refused_in_one_line(tmp_path, name):
    with pytest.raises(ConfigError) as caught:
        TrainingRecipe.load(write(tmp_path, IMPOSSIBLE[name]))
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


def test_aliases_cannot_stand_for_billions_of_values(tmp_path):
    lines = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(ConfigError, match=r"alias \*a0"):
        TrainingRecipe.load(write(tmp_path, "\n".join(lines)))


def test_a_date_is_text(tmp_path):
    assert TrainingRecipe.load(write(tmp_path, SMALL + "out: 2026-01-02\n")).out == "2026-01-02"


def test_a_circle_of_bases_is_named(tmp_path):
    write(tmp_path, "base: [b.yaml]\n", "a.yaml")
    write(tmp_path, "base: [../" + tmp_path.name + "/a.yaml]\n", "b.yaml")
    with pytest.raises(ConfigError, match=r"a\.yaml -> .*b\.yaml -> .*a\.yaml: base leads in a circle"):
        TrainingRecipe.load(tmp_path / "a.yaml")


def test_a_base_whose_name_the_file_system_refuses_is_a_missing_file(tmp_path):
    for name in ("a" * 5000, "a" * 300, r'"\0"'):
        with pytest.raises(UsageError, match="no such file"):
            TrainingRecipe.load(write(tmp_path, f"base: [{name}]\n"))


def test_bases_are_bounded(tmp_path):
    for number in range(12):
        write(tmp_path, f"base: [{number + 1}.yaml]\n", f"{number}.yaml")
    write(tmp_path, SMALL, "12.yaml")
    with pytest.raises(ConfigError, match="8 deep"):
        TrainingRecipe.load(tmp_path / "0.yaml")
    for number in range(5):
        write(tmp_path, f"base: [{', '.join([f'wide{number + 1}.yaml'] * 10)}]\n", f"wide{number}.yaml")
    write(tmp_path, SMALL, "wide5.yaml")
    with pytest.raises(ConfigError, match="32 files"):
        TrainingRecipe.load(tmp_path / "wide0.yaml")


@pytest.mark.parametrize("name", ["folder.yaml", "\0", "a" * 300])
def test_a_path_that_is_no_file_is_refused(tmp_path, name):
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(UsageError):
        TrainingRecipe.load(tmp_path / name)


@pytest.mark.parametrize(
    ("method", "form", "rate", "schedule", "epochs", "accumulate"),
    [("gavs", "cross_entropy", 1e-3, "constant", 60, 1), ("sama", "cross_entropy+iou", 2e-4, "cosine", 80, 2)],
)
def test_original_recipes_of_the_baselines(method, form, rate, schedule, epochs, accumulate):
    recipe = TrainingRecipe.load(RECIPES / f"v1m-base-plus-{method}-original.yaml")
    assert (recipe.model.method, recipe.losses.form) == (method, form)
    assert (recipe.optimiser.rate, recipe.optimiser.schedule) == (rate, schedule)
    assert (recipe.trainer.epochs, recipe.trainer.accumulate) == (epochs, accumulate)
