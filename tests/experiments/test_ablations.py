"""The paper's ablations in miniature: recipes of the rows, verdicts on orderings, and a small run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import ablations
from auralsam2.training.recipe import TrainingRecipe
from helpers.small_training import SCENES, values, write_parts


def rows(name: str, *scores: float) -> dict[tuple[str, int], dict[str, dict[str, float]]]:
    return {(name, s): {"test": dict.fromkeys(ablations.SCORES, value)} for s, value in enumerate(scores)}


def test_rows_of_a_table_have_different_recipes(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 40}))
    changes = ablations.read_rows()
    for table in ablations.read_tables().values():
        recipes: dict[str, TrainingRecipe] = {
            row: ablations.recipe_of(ablations.RECIPES / table.recipe, changes[row], 1, tmp_path) for row in table.rows
        }
        assert len({recipe.to_yaml() for recipe in recipes.values()}) == len(table.rows)
        assert {row for pair in table.orderings for row in pair} <= set(table.rows)
        assert {(recipe.data.dataset, recipe.trainer.seed) for recipe in recipes.values()} == {(table.dataset, 1)}
        if "sound and text" in recipes:
            assert recipes["sound and text"].model.fuser.text_width == 40
        if "released" in recipes:
            assert recipes["paper"].model.prompting != recipes["released"].model.prompting
        if table.recipe == "stampavs-mini-ablations-continued.yaml":
            for recipe in recipes.values():
                assert recipe.fuser_from == "mini"
                assert (recipe.distillation.weight > 0) == recipe.model.prompting.dense


def test_interval_of_student_t() -> None:
    """Mean 2, deviation 1, three values: 2 ± 4.303 / √3."""
    assert ablations.interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 2.4843, 2 + 2.4843), abs=1e-3)
    assert ablations.interval([1.0]) is None


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([0.1, 0.11, 0.12], "holds"),
        ([-0.1, -0.11, -0.12], "is reversed"),
        ([0.3, 0.1, -0.1], "open: mean gain"),
        ([-0.3, -0.1, 0.1], "open: no mean gain"),
    ],
)
def test_orderings(differences: list[float], expected: str) -> None:
    assert ablations.verdict(*ablations.gain([], [], differences)) == expected


@pytest.mark.parametrize(
    ("high", "expected"),
    [((0.5, 0.6, 0.7), "holds"), ((0.3, 0.4, 0.5), "is reversed"), ((0.3, 0.6, 0.63), "open: mean gain")],
)
def test_orderings_of_one_seed_have_intervals_over_clips(high: tuple[float, ...], expected: str) -> None:
    """Clips of two frames each; the gain is the mean over all frames."""
    low = {f"clip{number}": (2 * value, 2.0) for number, value in enumerate((0.4, 0.5, 0.6))}
    other = {f"clip{number}": (2 * value, 2.0) for number, value in enumerate(high)}
    mean, start, end = ablations.gain([low], [other], [0.0])
    assert mean == pytest.approx(sum(high) / 3 - 0.5)
    assert start <= mean <= end
    assert ablations.verdict(mean, start, end) == expected


def test_differences_are_paired_by_seed() -> None:
    """The seeds differ more than the rows; the ordering holds nevertheless."""
    table = ablations.Table(title="", dataset="", splits=["test"], rows=["a", "b"], orderings=[["a", "b"]])
    scores = rows("a", 0.1, 0.5, 0.9) | rows("b", 0.2, 0.61, 1.0)
    text = ablations.format_table(table, scores, {key: {"test": {}} for key in scores}, 3)
    assert "| a < b | test | 0.103 [0.089, 0.118] | holds |" in text


def test_small_run_trains_each_row_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = (("test-seen_00000", "test-seen", "standard", "single", 3),)
    write_parts(tmp_path, (*SCENES, *test))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(values(tmp_path, max_steps=1, accumulate=1, validate_every=1)))
    plan = {
        "rows": {
            "no audio, 1 level": ["model.fuser.use_audio=false", "model.fuser.levels=1"],
            "no": ["contrast.mode=none"],
        },
        "tables": {
            "pyramid": {
                "title": "Pyramid",
                "dataset": "stampavs",
                "splits": ["test-seen"],
                "rows": ["no audio, 1 level", "no"],
                "orderings": [["no audio, 1 level", "no"]],
            }
        },
    }
    (tmp_path / "rows.yaml").write_text(yaml.safe_dump(plan))
    document = tmp_path / "doc.md"
    document.write_text("<!-- begin pyramid -->\n<!-- end pyramid -->\n")
    monkeypatch.setattr(ablations, "ABLATIONS_FILE", tmp_path / "rows.yaml")
    call = ["ablations", str(recipe), "--seeds", "1", "--out", str(tmp_path / "out"), "--write", str(document)]
    monkeypatch.setattr("sys.argv", call)
    assert ablations.main() == 0
    text = document.read_text()
    assert "| no audio, 1 level < no | test-seen |" in text
    scores = json.loads((tmp_path / "out/pyramid.json").read_text())["rows"]["no"][0]["test-seen"]
    report = json.loads((tmp_path / "out/recipe/no/seed0/stampavs.test-seen.audio.own.json").read_text())
    assert scores["J&F"] == report["summary"]["J&F"]["value"]
    saved = TrainingRecipe.load(tmp_path / "out/recipe/no-audio-1-level/seed0/recipe.yaml")
    assert (saved.model.fuser.levels, saved.model.fuser.use_audio) == (1, False)

    def train_again(*_: object, **__: object) -> None:
        raise AssertionError("trained twice")

    monkeypatch.setattr(ablations, "train", train_again)
    assert ablations.main() == 0
    assert document.read_text() == text
    monkeypatch.setattr("sys.argv", [*call, "--set", "trainer.max_steps=2"])
    with pytest.raises(AssertionError, match="trained twice"):
        ablations.main()
