"""Short runs: output files, resumption, and learning."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from auralsam2.config import AudioEncoderConfig
from auralsam2.errors import ConfigError, UsageError
from auralsam2.hub import download
from auralsam2.modeling.log_mel import OFFSET
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


def interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt trainings at a step."""
    train_step = AudioStage.train_step

    def interrupt(training: AudioStage, rate: float) -> None:
        if training.step == step:
            raise KeyboardInterrupt
        train_step(training, rate)

    monkeypatch.setattr(AudioStage, "train_step", interrupt)


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
    interrupt_at(3, monkeypatch)
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
    recipe = AudioRecipe.load(RECIPES / "audio-backbone.yaml")
    assert (recipe.encoder.backbone, recipe.backbone_from, recipe.start) == ("tf_efficientnet_lite0", "mini", None)


def test_invalid_recipe_is_refused(tmp_path):
    (tmp_path / "recipe.yaml").write_text("out: run\nsteps: 0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"recipe\.yaml: .*steps 0"):
        AudioRecipe.load(tmp_path / "recipe.yaml")
    with pytest.raises(ConfigError, match="volume"):
        AudioRecipe.load(tmp_path / "recipe.yaml", ["steps=1", "volume=11"])


@pytest.fixture
def with_backbone(recipe: AudioRecipe) -> AudioRecipe:
    """Recipe of an encoder with the backbone of the bundled model."""
    encoder = AudioEncoderConfig(embedding=64, backbone="tf_efficientnet_lite0")
    return replace(
        recipe,
        encoder=encoder,
        backbone_from="mini",
        tokens_from="mini",
        token_weight=1.0,
        steps=2,
        batch=3,
        test_examples=4,
        final_examples=4,
    )


def test_backbone_starts_with_the_weights_of_the_image_encoder(with_backbone):
    training = AudioStage(with_backbone)
    state = load_file(download.resolve("mini") / "sam2" / "model.safetensors")
    prefix = "vision_encoder.backbone.timm_model."
    backbone = training.network.audio_encoder.features.backbone.state_dict()
    first = "conv_stem.weight"
    torch.testing.assert_close(backbone[first], state[prefix + first].float().sum(1, keepdim=True))
    assert all(torch.equal(value, state[prefix + name].to(value)) for name, value in backbone.items() if name != first)
    training.run()
    assert float(read_log(Path(with_backbone.out) / LOG)[-1]["token"]) > 0
    network = AuralNetwork(
        replace(small_config(), audio_encoder=replace(with_backbone.encoder, embedding=128)), small_sam2()
    )
    with pytest.raises(ConfigError, match="another audio encoder"):
        load_audio_encoder(network.audio_encoder, with_backbone.out)


def test_resumed_training_of_a_backbone_equals_an_uninterrupted_one(with_backbone, tmp_path, monkeypatch):
    AudioStage(with_backbone).run()
    other = replace(with_backbone, out=str(tmp_path / "resumed"))
    interrupt_at(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        AudioStage(other).run()
    monkeypatch.undo()
    AudioStage(other, resume=True).run()
    actual, expected = weights(tmp_path / "resumed"), weights(Path(with_backbone.out))
    assert all(torch.equal(actual[name], expected[name]) for name in expected)


def test_gaps_silence_a_stretch_of_time_and_of_frequency(recipe, stamps):
    training = AudioStage(replace(recipe, longest_gap=0.5))
    log_mel = torch.randn(4, 2, 96, 64, generator=torch.Generator().manual_seed(0))
    batch = replace(training.samples.batch(range(4)), log_mel=log_mel, plain=torch.tensor([False, True, False, False]))
    changed = training._with_gaps(batch)
    silent = changed == math.log(OFFSET)
    assert torch.equal(changed[1], batch.log_mel[1])
    for index in (0, 2, 3):
        assert torch.equal(changed[index][~silent[index]], log_mel[index][~silent[index]])
        assert torch.equal(silent[index, 0], silent[index, 1])
        times, bands = silent[index, 0].all(1), silent[index, 0].all(0)
        assert torch.equal(silent[index, 0], times[:, None] | bands[None])
        assert 0 < int(times.sum() + bands.sum()) <= 0.5 * (96 + 64)
        for gap in (times, bands):  # one stretch each
            assert int((gap[1:] & ~gap[:-1]).sum() + gap[0]) <= 1


@pytest.mark.parametrize(
    "changes",
    [
        {"longest_gap": 1.0},
        {"token_weight": 1.0},
        {"backbone_from": "mini"},
        {"backbone_from": "mini", "start": "mini", "encoder": AudioEncoderConfig(backbone="tf_efficientnet_lite0")},
    ],
)
def test_contradictory_settings_are_refused(recipe, changes):
    with pytest.raises(ConfigError, match=next(iter(changes))):
        replace(recipe, **changes)
