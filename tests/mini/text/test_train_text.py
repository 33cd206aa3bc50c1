"""Training of the text encoder: learning, resumption, and the written encoder."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file

from auralsam2.errors import ConfigError, UsageError
from auralsam2.modeling.text_encoder import TextEncoder
from projects.mini.evaluate_text import nearest_name_accuracy
from projects.mini.stage_loop import read_log
from projects.mini.text_network import TextRecipe
from projects.mini.train_text import TextStage, main

RECIPE = Path(__file__).parents[3] / "projects/mini/recipes/text.yaml"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model/model.safetensors")


def test_recipe_is_read_with_changes():
    recipe = TextRecipe.load(RECIPE, ["steps=7", "out=elsewhere"])
    assert (recipe.steps, recipe.out, recipe.width, recipe.stamps) == (7, "elsewhere", 128, None)


@pytest.mark.parametrize("change", [{"width": 33}, {"mask_prob": 0.0}, {"split_prob": 1.0}, {"steps": 0}])
def test_invalid_values_are_named(recipe, change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        replace(recipe, **change)


def test_killed_and_resumed_run_has_the_same_weights(recipe, tmp_path, fork):
    complete = replace(recipe, out=str(tmp_path / "complete"))
    figures = TextStage(complete).run()
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(asdict(recipe)))
    arguments = ["-m", "projects.mini.train_text", str(path)]
    process = fork(*arguments)
    for line in process.stderr:
        if line.startswith("reading 4:"):
            break
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    out = Path(recipe.out)
    assert (out / "checkpoint.pt").is_file()
    assert not (out / "model").exists()
    again = TextStage(recipe, resume=True)
    assert 1 <= again.step < recipe.steps
    resumed = again.run()
    first, second = weights(tmp_path / "complete"), weights(out)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert {**figures, "seconds": 0} == {**resumed, "seconds": 0}
    logs = [[row | {"seconds": ""} for row in read_log(folder / "log.csv")] for folder in (tmp_path / "complete", out)]
    assert logs[0] == logs[1]
    assert [row["step"] for row in logs[0]] == ["2", "4", "6"]


def test_output_is_a_text_encoder(recipe, capsys):
    run = TextStage(recipe)
    figures = run.run()
    folder = Path(recipe.out) / "model"
    assert json.loads((folder.parent / "figures.json").read_text()) == figures
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F16"}  # noqa: SIM118
    capsys.readouterr()
    encoder = TextEncoder(folder)
    assert "MISSING" not in "".join(capsys.readouterr())
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}
    for text in ("the bell on the left", "the Zeppelin, über alles?"):
        features = encoder(text)
        assert features.shape == (25, recipe.width)
        count = len(run.tokeniser.encode(text).ids)
        with torch.no_grad():
            mean = run.network.features(torch.tensor([run.tokeniser.encode(text).ids]))[0]
        torch.testing.assert_close(features[:count].mean(0), mean)


def test_training_learns_places_and_sounds(recipe):
    """New scenes; `common` is the accuracy of the most frequent class."""
    figures = TextStage(replace(recipe, steps=60, log_every=60, test_every=60, save_every=60, final_scenes=8)).run()
    for part in ("place", "hearing"):
        assert figures["parts"][part] > figures["common"][part] + 0.1, figures
        assert figures["new_parts"][part] > 0.5, figures
    assert figures["masked"] > 0.2


def test_existing_run_is_not_overwritten(recipe):
    short = replace(recipe, steps=1)
    TextStage(short).run()
    with pytest.raises(UsageError, match="--resume"):
        TextStage(short)
    with pytest.raises(ConfigError, match="another recipe"):
        TextStage(replace(short, width=64), resume=True)
    (Path(recipe.out) / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(ConfigError, match=r"checkpoint\.pt"):
        TextStage(short, resume=True)


def test_command_names_the_error(tmp_path, capsys):
    path = tmp_path / "recipe.yaml"
    path.write_text("out: here\nstep: 3\n")
    assert main([str(path)]) != 0
    assert "recipe.yaml" in capsys.readouterr().err


def test_nearest_name_accuracy_by_hand():
    names = ["owl", "bell", "owl", "bell", "owl", "bell", "fan"]
    apart = torch.tensor([[1.0, 0.0], [0.0, 1.0]] * 3 + [[5.0, 5.0]])
    assert nearest_name_accuracy(apart, names) == (1.0, 0.5)
    # Each sentence is nearest to the other name, if its own features are left out.
    crossed = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    assert nearest_name_accuracy(crossed, ["owl", "bell", "owl", "bell"]) == (0.0, 0.5)
    assert nearest_name_accuracy(apart[:1], ["owl"]) == (0.0, 0.0)
