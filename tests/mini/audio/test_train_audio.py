"""Short runs: output files, resumption, and learning."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from auralsam2.config import AudioEncoderConfig
from auralsam2.errors import ConfigError, UsageError
from auralsam2.modeling.network import AuralNetwork
from auralsam2.training.initialise import load_audio_encoder
from helpers.small_networks import small_config, small_sam2
from projects.mini.stage_loop import CHECKPOINT, FIGURES, LOG, read_log
from projects.mini.train_audio import AudioRecipe, AudioStage, main, measure_tagging

RECIPES = Path(__file__).parents[3] / "projects" / "mini" / "recipes"


@pytest.fixture(scope="module")
def finished(short: AudioRecipe) -> Path:
    """The folder of a finished run."""
    AudioStage(short).run()
    return Path(short.out)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def figures(folder: Path) -> list[dict[str, str]]:
    """Return the log without times."""
    return [row | {"seconds": ""} for row in read_log(folder / LOG)]


def test_files_of_a_run(finished, short):
    names = {"model.safetensors", "config.json", CHECKPOINT, LOG, FIGURES}
    assert {path.name for path in finished.iterdir()} == names
    rows = read_log(finished / LOG)
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert [bool(row["fresh_presence"]) for row in rows] == [False, True, False, True]
    values = json.loads((finished / FIGURES).read_text())
    assert list(values) == ["fresh"]
    assert values["fresh"]["examples"] == 40


def test_network_loads_the_encoder(finished, short):
    network = AuralNetwork(replace(small_config(), audio_encoder=short.encoder), small_sam2())
    load_audio_encoder(network.audio_encoder, str(finished))
    for name, value in network.audio_encoder.state_dict().items():
        assert torch.equal(value, weights(finished)[f"audio_encoder.{name}"])
    with pytest.raises(ConfigError, match="another audio encoder"):
        load_audio_encoder(AuralNetwork(small_config(), small_sam2()).audio_encoder, str(finished))


@pytest.mark.parametrize("save_every", [1, 3])
def test_resumed_run_equals_an_uninterrupted_run(finished, recipe, monkeypatch, save_every):
    recipe = replace(recipe, save_every=save_every)
    train_step = AudioStage.train_step

    def interrupt(training: AudioStage, rate: float) -> None:
        if training.step == 3:
            raise KeyboardInterrupt
        train_step(training, rate)

    monkeypatch.setattr(AudioStage, "train_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        AudioStage(recipe).run()
    monkeypatch.undo()
    assert not (Path(recipe.out) / FIGURES).exists()
    AudioStage(recipe, resume=True).run()
    actual, expected = weights(Path(recipe.out)), weights(finished)
    assert all(torch.equal(actual[name], expected[name]) for name in expected)
    assert figures(Path(recipe.out)) == figures(finished)


def test_checkpoint_needs_resume(finished, short):
    with pytest.raises(UsageError, match="--resume"):
        AudioStage(short)


def test_checkpoint_of_another_model_is_refused(finished, short):
    with pytest.raises(ConfigError, match="another recipe"):
        AudioStage(replace(short, encoder=replace(short.encoder, hidden=17)), resume=True)


def test_training_learns_presence(recipe):
    encoder = AudioEncoderConfig(channels=(4, 6, 8, 8), hidden=32, embedding=16)
    longer = replace(recipe, encoder=encoder, steps=40, batch=8, rate=5e-3, log_every=40, test_every=40, save_every=40)
    training = AudioStage(longer)
    before = measure_tagging(training.network, "fresh", 60, training.stamps).presence
    training.run()
    after = measure_tagging(training.network, "fresh", 60, training.stamps).presence
    assert before is not None
    assert after is not None
    assert after > max(0.85, before + 0.2)


def test_command(recipe, tmp_path, capsys):
    file = tmp_path / "recipe.yaml"
    file.write_text(f"out: {recipe.out}\nstamps: {recipe.stamps}\nsteps: 1\nbatch: 2\n", encoding="utf-8")
    changes = [
        "encoder={channels: [1, 1, 1, 1], hidden: 4, embedding: 2}",
        "test_examples=2",
        "final_examples=4",
        "save_every=1",
        "log_every=1",
    ]
    arguments = [str(file), *(word for change in changes for word in ("--set", change))]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["fresh"]["examples"] == 4
    assert main(arguments) == 2
    assert "--resume" in capsys.readouterr().err


def test_recipe_of_the_repository():
    recipe = AudioRecipe.load(RECIPES / "audio.yaml", ["out=elsewhere"])
    assert recipe.out == "elsewhere"
    assert recipe.encoder == AudioEncoderConfig(channels=(16, 32, 64, 128), hidden=256, embedding=64)


def test_invalid_recipe_is_refused(tmp_path):
    (tmp_path / "recipe.yaml").write_text("out: run\nsteps: 0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"recipe\.yaml: .*steps 0"):
        AudioRecipe.load(tmp_path / "recipe.yaml")
    with pytest.raises(ConfigError, match="volume"):
        AudioRecipe.load(tmp_path / "recipe.yaml", ["steps=1", "volume=11"])
