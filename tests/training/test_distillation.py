"""Prompt distillation: targets and loss against loops over frames and cells, calibration, recipes, interrupted runs."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from auralsam2.errors import ConfigError
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.prompt_encoder import VisualPrompts, embed_prompts
from auralsam2.training.callbacks import LAST
from auralsam2.training.config import DistillationConfig
from auralsam2.training.distillation import DistillationTarget, distillation_loss, embed_mask_cover, label_cover
from auralsam2.training.initialise import build_network
from auralsam2.training.recipe import TrainingRecipe
from auralsam2.training.run import train
from helpers.small_training import values, write_parts

SIZE, GRID, WIDTH = 64, 4, 128


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    return write_parts(tmp_path_factory.mktemp("distillation"))


def distilled(parts: Path, trainer: dict[str, Any] | None = None, **distillation: Any) -> dict[str, Any]:
    recipe = values(parts, **(trainer or {})) | {"variant": "paper", "distillation": {"weight": 1.0} | distillation}
    recipe["model"]["extensions"] = {"standardize_inputs": True}
    recipe["contrast"] = {"mode": "none"}
    return recipe


@pytest.fixture(scope="module")
def network(parts) -> AuralNetwork:
    return build_network(TrainingRecipe.from_dict(distilled(parts))).eval()


def some_labels() -> torch.Tensor:
    """Two rectangles, one of them off the cells' borders, and an empty mask."""
    labels = torch.zeros(3, SIZE, SIZE, dtype=torch.bool)
    labels[0, 8:40, 16:48] = True
    labels[1, 3:30, 5:61] = True
    return labels


def test_embedding_is_that_of_sam2_mask_prompt_less_that_of_no_mask(network):
    cover = label_cover(some_labels(), (16, 16))
    target = embed_mask_cover(network.sam2.prompt_encoder, cover)
    nothing = {"points": torch.zeros(0, 2), "labels": torch.zeros(0)}
    with torch.no_grad():
        empty = embed_prompts(network.sam2, None).dense
        for own, share in zip(target, cover, strict=True):
            mask = embed_prompts(network.sam2, VisualPrompts(logits=20 * share - 10, **nothing)).dense
            torch.testing.assert_close(own, (mask - empty)[0].flatten(1).T, rtol=1e-4, atol=1e-5)


def test_statistics_by_loops(network):
    labels = some_labels()
    target = DistillationTarget(network, labels)
    embeddings = embed_mask_cover(network.sam2.prompt_encoder, label_cover(labels, (16, 16)))
    squares, projections = [0.0] * WIDTH, []
    for frame in embeddings.tolist():
        for cell in frame:
            squares = [total + value * value for total, value in zip(squares, cell, strict=True)]
            projections.append(sum(v * d for v, d in zip(cell, target.direction.tolist(), strict=True)))
    count = len(projections)
    scale = torch.tensor([math.sqrt(total / count) for total in squares])
    torch.testing.assert_close(target.scale, scale, rtol=1e-4, atol=1e-5)
    mean = sum(projections) / count
    variance = sum((value - mean) ** 2 for value in projections) / (count - 1) / float(target.amplitude) ** 2
    assert float(target.variance) == pytest.approx(variance, rel=1e-3)


def test_a_full_mask_projects_two_units_above_an_empty_one(network):
    target = DistillationTarget(network, some_labels())
    both = torch.stack([torch.zeros(SIZE, SIZE), torch.ones(SIZE, SIZE)])
    empty, full = target.project(target.embed(both)).unflatten(1, (GRID, GRID))[:, 2, 2].tolist()
    assert full - empty == pytest.approx(2.0, rel=1e-4)


def softplus(value: float) -> float:
    return math.log1p(math.exp(-abs(value))) + max(value, 0.0)


def loop_cross_entropy(projection: list[float], cover: list[float], quiet: list[float], sharpness: float) -> float:
    """Balanced cross-entropy of one frame, with the cells of silent objects once more."""
    inside = outside = wrong = 0.0
    for value, share, silent in zip(projection, cover, quiet, strict=True):
        logit = sharpness * value
        each = share * softplus(-logit) + (1 - share) * softplus(logit)
        inside += each * share
        outside += each * (1 - share)
        wrong += softplus(logit) * silent
    total = len(cover)
    balanced = (inside / max(sum(cover), 1) + outside / max(total - sum(cover), 1)) / 2
    return balanced + wrong / max(sum(quiet), 1) / 2


@pytest.mark.parametrize("outlines", [True, False])
def test_loss_by_loops(network, outlines):
    torch.manual_seed(3)
    config = DistillationConfig(weight=1.0, sharpness=3.0, squared_error=0.7, later_levels=0.25)
    labels = some_labels()
    silent = torch.zeros_like(labels)
    silent[0, 30:60, 40:60] = silent[2, :20, :20] = True
    target = DistillationTarget(network, labels)
    prompt, *later = (torch.randn(3, GRID * GRID, WIDTH) * scale for scale in (20.0, 1.0, 2.0))
    loss = distillation_loss(target, prompt, later, labels, silent if outlines else None, config)
    direction, amplitude = target.direction.tolist(), float(target.amplitude)
    goal = target.embed(labels)

    def project(cell: list[float]) -> float:
        return sum(value * unit for value, unit in zip(cell, direction, strict=True)) / amplitude

    expected = 0.0
    for t in range(3):
        cover, quiet = [], []
        for row in range(GRID):
            for column in range(GRID):
                cell = (t, slice(16 * row, 16 * row + 16), slice(16 * column, 16 * column + 16))
                cover.append(float(labels[cell].float().mean()))
                quiet.append(float(silent[cell].float().mean()) * (1 - cover[-1]) if outlines else 0.0)
        first = [project(cell) for cell in prompt[t].tolist()]
        wanted = [project(cell) for cell in goal[t].tolist()]
        error = sum((one - other) ** 2 for one, other in zip(first, wanted, strict=True)) / len(first)
        expected += loop_cross_entropy(first, cover, quiet, 3.0) + 0.7 * error / float(target.variance)
        for tokens in later:
            projections = [project(cell) for cell in (tokens[t] * target.scale).tolist()]
            expected += 0.25 * loop_cross_entropy(projections, cover, quiet, 3.0)
    assert float(loss) == pytest.approx(expected, rel=1e-3)


def test_loss_is_least_at_the_embedding_of_the_mask(network):
    labels = some_labels()
    target = DistillationTarget(network, labels)
    config = DistillationConfig(weight=1.0)
    goal = target.embed(labels)
    exact, wrong = (distillation_loss(target, p, [], labels, None, config) for p in (goal, goal.roll(1, 0)))
    assert float(exact) < float(wrong) / 2


def test_calibration_sets_gains_and_a_prompt_of_deviation_one_gets_the_scale_of_embeddings(parts):
    net = build_network(TrainingRecipe.from_dict(distilled(parts)))
    target = DistillationTarget(net, some_labels())
    target.calibrate_gains(net, 0.3)
    gains = net.fuser.visual_gains.detach()
    torch.testing.assert_close(gains[0], target.scale)
    for level in gains[1:]:
        assert float(level.mean()) == pytest.approx(0.3, rel=1e-4)
        torch.testing.assert_close(level / level[0], gains[0] / gains[0, 0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variant": "released"}, "coarse_first false"),
        ({"distillation": {"weight": 1.0, "only_steps": -1}}, "only_steps"),
        ({"distillation": {"calibrate": True}}, "weight above 0"),
    ],
)
def test_recipes_that_cannot_distil_are_refused(parts, change, message):
    with pytest.raises(ConfigError, match=message):
        TrainingRecipe.from_dict(distilled(parts) | change)


def test_distillation_needs_gains(parts):
    recipe = distilled(parts)
    recipe["model"]["extensions"] = {}
    with pytest.raises(ConfigError, match="standardize_inputs true"):
        TrainingRecipe.from_dict(recipe)


def log_rows(run: Path) -> list[dict[str, str]]:
    (log,) = (run / "log").rglob("metrics.csv")
    return [row for row in csv.DictReader(log.read_text().splitlines()) if row["train/loss"]]


def test_the_first_steps_distil_without_the_decoder_and_learn(parts, tmp_path):
    trainer = {"max_steps": 12, "validate_every": 12, "checkpoint_every": 12, "accumulate": 1}
    recipe = distilled(parts, trainer, only_steps=11, calibrate=True)
    recipe["data"]["split"] = recipe["data"]["validation"] = "val"
    train(TrainingRecipe.from_dict(recipe), tmp_path / "run")
    rows = log_rows(tmp_path / "run")
    losses = [float(row["train/distillation"]) for row in rows]
    assert min(losses[8:]) < losses[0] / 2
    assert [bool(row["train/focal"]) for row in rows] == [False] * 11 + [True]


def test_a_run_stopped_and_resumed_gives_the_same_weights(parts, tmp_path):
    """The second start calibrates the gains anew; those of the checkpoint replace them."""
    recipe = TrainingRecipe.from_dict(distilled(parts, only_steps=1, calibrate=True))
    train(recipe, tmp_path / "undisturbed")

    def stop_at_validation(line: str) -> None:
        if line.startswith("step 2"):
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(recipe, tmp_path / "run", on_message=stop_at_validation)
    assert not (tmp_path / "run" / LAST).exists()
    news: list[str] = []
    train(recipe, tmp_path / "run", resume=True, on_message=news.append)
    assert any("continuing from" in line for line in news)
    one, other = (load_file(tmp_path / run / LAST / "model.safetensors") for run in ("undisturbed", "run"))
    assert all(torch.equal(one[name], other[name]) for name in one)
