"""Whole training runs in miniature: what they write, and that a stop or a second process changes nothing."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from auralsam2.data.images import read_frame
from auralsam2.errors import ConfigError, UsageError
from auralsam2.modeling.preprocess import to_square
from auralsam2.training.callbacks import BEST, FRAMES, LAST
from auralsam2.training.dataset import training_samples
from auralsam2.training.recipe import TrainingRecipe
from auralsam2.training.run import CHECKPOINT, train
from helpers.media_files import write_clip
from helpers.small_training import recipe, values, write_parts


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    return write_parts(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def undisturbed(parts) -> Path:
    """The folder of a finished run."""
    train(recipe(parts), parts / "undisturbed")
    return parts / "undisturbed"


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / LAST / "model.safetensors")


def difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], *, buffers: bool = True) -> float:
    assert one.keys() == other.keys()
    kept = [name for name in one if buffers or not name.endswith(("running_mean", "running_var", "batches_tracked"))]
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in kept)


def write_recipe(file: Path, parts: Path, **trainer: object) -> Path:
    file.write_text(TrainingRecipe.from_dict(values(parts, **trainer)).to_yaml(), encoding="utf-8")
    return file


def wait_for(file: Path, process, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not file.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_run_teaches_and_leaves_models_and_a_log(parts, undisturbed):
    first = recipe(parts, seed=0)
    assert TrainingRecipe.load(undisturbed / "recipe.yaml") == first
    (log,) = (undisturbed / "log").rglob("metrics.csv")
    header = log.read_text().splitlines()[0].split(",")
    assert {"train/loss", "train/focal", "train/contrast", "val/J"} <= set(header)
    assert (undisturbed / BEST / "config.json").is_file()


def test_each_validation_leaves_a_sheet_of_what_is_true_and_what_was_found(parts, undisturbed):
    sheets = sorted((undisturbed / "pictures").iterdir())
    assert [sheet.name for sheet in sheets] == ["step-000002.png", "step-000004.png"]
    size, clips, frames = 64, 2, 3
    sheet = np.array(Image.open(sheets[-1]))
    assert sheet.shape == (2 * clips * size, FRAMES * size, 3)
    assert not sheet[:, frames * size :].any()
    truth, found = sheet[:size, :size].astype(int), sheet[size : 2 * size, :size].astype(int)
    assert (truth != found).any()
    for label, row in ((True, 0), (False, 2)):  # the second clip is silent
        green = sheet[row * size : (row + 1) * size, : frames * size].astype(int)
        pictures = np.concatenate(
            [
                to_square(read_frame(path), size).permute(1, 2, 0).numpy()
                for path in training_samples(recipe(parts).data, "val")[row // 2].frames
            ],
            axis=1,
        )
        assert bool((green != pictures).any()) == label


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(parts, undisturbed, tmp_path):
    train(recipe(parts), tmp_path / "again")
    assert difference(weights(undisturbed), weights(tmp_path / "again")) == 0
    train(recipe(parts, seed=1), tmp_path / "other")
    assert difference(weights(undisturbed), weights(tmp_path / "other")) > 1e-4


def test_what_is_saved_segments(undisturbed, command, tmp_path):
    clip = tmp_path / "clip.mp4"
    write_clip(clip)
    outcome = command("segment", clip, "--model", undisturbed / LAST, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "out" / "clip" / "result.json").is_file()


def test_a_checkpoint_holds_what_learns_and_nothing_else(parts, undisturbed, tmp_path):
    state = torch.load(undisturbed / CHECKPOINT, weights_only=True)["state_dict"]
    assert {name.split(".")[0] for name in state} == {"fuser", "audio_encoder"}
    frozen = values(parts, max_steps=1, validate_every=1)
    frozen["optimiser"]["audio_encoder_rate"] = 0.0
    module = train(TrainingRecipe.from_dict(frozen), tmp_path / "run")
    state = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["state_dict"]
    assert {name.split(".")[0] for name in state} == {"fuser"}
    with pytest.raises(ConfigError, match="missing"):
        module.load_state_dict(dict(list(state.items())[1:]))
    with pytest.raises(ConfigError, match="unexpected"):
        module.load_state_dict(state | {"sam2.x": torch.zeros(1)})


@pytest.mark.parametrize("rate", [1.0, 0.0])
def test_only_what_shall_learn_learns(parts, tmp_path, rate):
    given = values(parts, max_steps=1, validate_every=1)
    given["optimiser"]["audio_encoder_rate"] = rate
    from auralsam2.training.initialise import build_network

    before = build_network(TrainingRecipe.from_dict(given)).state_dict()
    after = train(TrainingRecipe.from_dict(given), tmp_path / "run").network.state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == ({"fuser", "audio_encoder"} if rate else {"fuser"})


def test_a_run_killed_and_resumed_gives_the_same_weights(parts, undisturbed, fork, tmp_path):
    """`kill -9` as soon as there is a checkpoint: somewhere in a step after it."""
    file = write_recipe(tmp_path / "small.yaml", parts)
    out = tmp_path / "run"
    arguments = ("-m", "auralsam2", "train", file, "--set", f"out={out}")
    process = fork(*arguments)
    wait_for(out / CHECKPOINT, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (out / LAST).exists()
    process = fork(*arguments, "--resume")
    said, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "continuing from" in err
    assert str(out / LAST) in said
    assert difference(weights(undisturbed), weights(out)) <= 1e-6


def test_two_processes_give_what_one_gives_that_accumulates(parts, undisturbed, fork, tmp_path):
    """Running means of batch normalisation are those of the first process's clips, so they differ."""
    file = write_recipe(tmp_path / "small.yaml", parts, accumulate=1, devices=2)
    process = fork("-m", "auralsam2", "train", file, "--set", f"out={tmp_path / 'run'}")
    _, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    assert difference(weights(undisturbed), weights(tmp_path / "run"), buffers=False) <= 1e-5


def test_text_is_read(parts, tmp_path):
    module = train(recipe(parts, text=True, max_steps=1, validate_every=1), tmp_path / "run")
    assert module.network.text_encoder is not None


def test_a_run_is_not_overwritten_nor_continued_with_another_recipe(parts, undisturbed):
    with pytest.raises(UsageError, match="`resume`"):
        train(recipe(parts), undisturbed)
    with pytest.raises(ConfigError, match=r"trainer\.seed 0, not 3"):
        train(recipe(parts, seed=3), undisturbed, resume=True)


def test_a_finished_run_resumed_stays(parts, undisturbed):
    before = weights(undisturbed)
    train(recipe(parts), undisturbed, resume=True)
    assert difference(before, weights(undisturbed)) == 0


@pytest.mark.parametrize("options", [{"max_steps": 4}, {"max_steps": 4, "validate_every": 1}])
def test_divergence_stops_with_the_step_and_a_remedy(parts, tmp_path, options):
    diverging = values(parts, **options)
    diverging["optimiser"] = diverging.get("optimiser", {}) | {"rate": 1e30}
    with pytest.raises(ConfigError, match=r"diverged at step [1-4]: .*: lower optimiser\.rate"):
        train(TrainingRecipe.from_dict(diverging), tmp_path / "run")
    assert not (tmp_path / "run" / BEST).exists()
    assert not (tmp_path / "run" / LAST).exists()


def test_a_finished_run_continues_with_more_steps(parts, tmp_path):
    messages: list[str] = []
    train(TrainingRecipe.from_dict(values(parts, max_steps=2)), tmp_path / "run")
    before = weights(tmp_path / "run")
    more = TrainingRecipe.from_dict(values(parts, max_steps=4))
    train(more, tmp_path / "run", resume=True, on_message=messages.append)
    assert any("step 4" in message for message in messages)
    assert difference(before, weights(tmp_path / "run")) > 0
    with pytest.raises(ConfigError, match="continue it with as many, or more"):
        train(TrainingRecipe.from_dict(values(parts, max_steps=3)), tmp_path / "run", resume=True)
