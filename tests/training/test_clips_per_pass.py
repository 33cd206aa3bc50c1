"""Clips that the network computes at once, against the same clips one by one."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from auralsam2.errors import ConfigError
from auralsam2.training.callbacks import LAST
from auralsam2.training.dataset import TrainingClip
from auralsam2.training.lightning_module import AuralModule
from auralsam2.training.recipe import TrainingRecipe
from auralsam2.training.run import build_module, train
from helpers.small_training import values, write_parts


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    return write_parts(tmp_path_factory.mktemp("passes"))


def independent(parts: Path, *, text: bool = False, **trainer: Any) -> dict[str, Any]:
    """A recipe whose frames are independent."""
    recipe = values(
        parts, text=text, **{"conditioning": "each", "validate_every": 9, "checkpoint_every": 9} | trainer
    ) | {"variant": "paper"}
    recipe["model"]["extensions"] = {
        "attention_scope": "frame",
        "predict_coarse_mask": True,
        "standardize_inputs": True,
    }
    recipe["model"]["fuser"]["dropout"] = 0.0
    recipe["contrast"] = {"mode": "none", "matching": 1.0}
    recipe["distillation"] = {"weight": 0.5}
    recipe["augment"] = {"flip": 0.0, "grayscale": 0.0, "clip_jitter": [0, 0, 0], "frame_jitter": [0, 0, 0]}
    recipe["data"]["validation_clips"] = 1
    return recipe


def gradients(module: AuralModule, steps: list[Any]) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """The values logged last and the mean gradient of one step's passes."""
    logged: list[dict[str, Any]] = []
    module.log_dict = lambda terms, **_: logged.append(terms)  # type: ignore[method-assign]
    module._terms = (-1, 0, {})
    module.zero_grad()
    for step in steps:
        (module.training_step(step, 0) / len(steps)).backward()
    terms = {name: float(value) for name, value in logged[-1].items()}
    return terms, {n: p.grad.clone() for n, p in module.network.named_parameters() if p.grad is not None}


def logged_losses(run: Path) -> list[float]:
    """The loss in each row of the log."""
    (log,) = (run / "log").rglob("metrics.csv")
    return [float(row["train/loss"]) for row in csv.DictReader(log.read_text().splitlines()) if row["train/loss"]]


@pytest.mark.parametrize("text", [False, True])
def test_losses_and_gradients_equal_those_of_single_clips(parts, tmp_path, text):
    recipe = independent(parts, text=text)
    recipe["data"] |= {"cache": str(tmp_path), "frames_per_clip": 2}
    module = build_module(TrainingRecipe.from_dict(recipe))
    assert isinstance(module, AuralModule)
    module.train()
    clips: list[TrainingClip] = [module.clips[draw] for draw in range(3)]
    if text:  # only the others are joined
        clips[1:] = [clip._replace(expression=None) for clip in clips[1:]]
    else:  # as in a data set without outlines of objects
        clips[2] = clips[2]._replace(rivals=None)
    expected = gradients(module, clips)
    assert clips[0].maps is None
    assert module.clips[0].maps is not None, "the first pass fills the cache"
    joined = module.join([module.clips[0]._replace(expression=clips[0].expression), *clips[1:]])
    assert [len(clip.labels) for clip in joined] == ([4, 2] if text else [6])
    terms, together = gradients(module, [clips])
    assert terms == pytest.approx(expected[0], rel=1e-5, abs=1e-6)
    assert together.keys() == expected[1].keys()
    for name, gradient in expected[1].items():
        torch.testing.assert_close(together[name], gradient, rtol=1e-3, atol=1e-4 * float(gradient.abs().max()) + 1e-6)


def test_a_run_with_joined_clips_equals_one_without(parts, tmp_path):
    runs, rows = {}, {}
    for count in (1, 2):
        recipe = TrainingRecipe.from_dict(independent(parts, max_steps=2, clips_per_pass=count))
        train(recipe, tmp_path / str(count))
        runs[count] = load_file(tmp_path / str(count) / LAST / "model.safetensors")
        rows[count] = logged_losses(tmp_path / str(count))
    assert len(rows[1]) == 2
    assert rows[1] == pytest.approx(rows[2], rel=1e-3)
    start = build_module(TrainingRecipe.from_dict(independent(parts))).network.trained_state()
    steps = {name: (runs[1][name] - value).norm() for name, value in start.items()}
    moved = torch.stack(list(steps.values())).norm()
    differ = torch.stack([(runs[2][name] - runs[1][name]).norm() for name in runs[1]]).norm()
    assert moved > 0
    assert differ < 0.05 * moved


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("trainer", {"clips_per_pass": 3}, "clips_per_pass 3 does not divide trainer.accumulate 2"),
        ("trainer", {"clips_per_pass": 0}, "clips_per_pass 0 must be at least 1"),
        ("trainer", {"conditioning": "first"}, "needs trainer.conditioning each"),
        ("contrast", {"mode": "audiocon"}, "needs contrast.mode none"),
    ],
)
def test_recipes_without_independent_frames_are_refused(parts, section, change, message):
    recipe = independent(parts, clips_per_pass=2)
    del recipe["distillation"]
    recipe[section] |= change
    with pytest.raises(ConfigError, match=message):
        TrainingRecipe.from_dict(recipe)


def test_dropout_is_refused(parts):
    recipe = independent(parts, clips_per_pass=2)
    recipe["model"]["fuser"]["dropout"] = 0.1
    with pytest.raises(ConfigError, match=r"needs model\.fuser\.dropout 0"):
        TrainingRecipe.from_dict(recipe)
