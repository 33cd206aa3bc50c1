"""Whole runs in miniature: what they write, and that a stop changes nothing."""

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
def undisturbed(short: AudioRecipe) -> Path:
    """The folder of a finished run."""
    AudioStage(short).run()
    return Path(short.out)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def figures(folder: Path) -> list[dict[str, str]]:
    """The log without what the clock says."""
    return [row | {"seconds": ""} for row in read_log(folder / LOG)]


def test_what_a_run_leaves(undisturbed, short):
    names = {"model.safetensors", "config.json", CHECKPOINT, LOG, FIGURES}
    assert {path.name for path in undisturbed.iterdir()} == names
    rows = read_log(undisturbed / LOG)
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert [bool(row["fresh_presence"]) for row in rows] == [False, True, False, True]
    told = json.loads((undisturbed / FIGURES).read_text())
    assert list(told) == ["fresh"]
    assert told["fresh"]["examples"] == 40


def test_a_network_takes_the_encoder(undisturbed, short):
    network = AuralNetwork(replace(small_config(), audio_encoder=short.encoder), small_sam2())
    load_audio_encoder(network, str(undisturbed))
    for name, value in network.audio_encoder.state_dict().items():
        assert torch.equal(value, weights(undisturbed)[f"audio_encoder.{name}"])
    with pytest.raises(ConfigError, match="another audio encoder"):
        load_audio_encoder(AuralNetwork(small_config(), small_sam2()), str(undisturbed))


@pytest.mark.parametrize("save_every", [1, 3])
def test_a_run_that_was_stopped_ends_the_same(undisturbed, recipe, monkeypatch, save_every):
    recipe = replace(recipe, save_every=save_every)
    train_step = AudioStage.train_step

    def stopped(training: AudioStage, rate: float) -> None:
        if training.step == 3:
            raise KeyboardInterrupt
        train_step(training, rate)

    monkeypatch.setattr(AudioStage, "train_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        AudioStage(recipe).run()
    monkeypatch.undo()
    assert not (Path(recipe.out) / FIGURES).exists()
    AudioStage(recipe, resume=True).run()
    found, expected = weights(Path(recipe.out)), weights(undisturbed)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert figures(Path(recipe.out)) == figures(undisturbed)


def test_a_checkpoint_is_not_overwritten_by_chance(undisturbed, short):
    with pytest.raises(UsageError, match="--resume"):
        AudioStage(short)


def test_a_checkpoint_of_another_model_is_refused(undisturbed, short):
    with pytest.raises(ConfigError, match="another recipe"):
        AudioStage(replace(short, encoder=replace(short.encoder, hidden=17)), resume=True)


def test_it_learns_whether_anything_sounds(recipe):
    encoder = AudioEncoderConfig(channels=(4, 6, 8, 8), hidden=32, embedding=16)
    longer = replace(recipe, encoder=encoder, steps=40, batch=8, rate=5e-3, log_every=40, test_every=40, save_every=40)
    training = AudioStage(longer)
    before = measure_tagging(training.network, "fresh", 60, training.stamps).presence
    training.run()
    after = measure_tagging(training.network, "fresh", 60, training.stamps).presence
    assert before is not None
    assert after is not None
    assert after > max(0.85, before + 0.2)


def test_the_command(recipe, tmp_path, capsys):
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


def test_the_recipe_of_the_repository():
    found = AudioRecipe.load(RECIPES / "audio.yaml", ["out=elsewhere"])
    assert found.out == "elsewhere"
    assert found.encoder == AudioEncoderConfig(channels=(16, 32, 64, 128), hidden=256, embedding=64)


def test_a_recipe_that_makes_no_sense_is_refused(tmp_path):
    (tmp_path / "recipe.yaml").write_text("out: run\nsteps: 0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"recipe\.yaml: .*steps 0"):
        AudioRecipe.load(tmp_path / "recipe.yaml")
    with pytest.raises(ConfigError, match="volume"):
        AudioRecipe.load(tmp_path / "recipe.yaml", ["steps=1", "volume=11"])
