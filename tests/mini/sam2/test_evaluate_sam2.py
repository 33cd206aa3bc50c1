"""Figures of scripted masks by hand, and figures of a saved model."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from auralsam2.errors import UnavailableError
from auralsam2.modeling.preprocess import normalise
from auralsam2.modeling.sam2 import load_sam2
from projects.mini import evaluate_sam2
from projects.mini.evaluate_sam2 import PromptEvaluation, PromptFigures
from projects.mini.export import export_model
from projects.mini.sam2_data import SceneClip, draw_prompts
from projects.mini.sam2_model import backbone_maps, init_weights, mini_sam2
from projects.mini.sam2_network import PromptableSam2

SIZE = 64


def clip() -> SceneClip:
    """An L of 3 · 12² pixels that moves 6 pixels to the right per frame, and an object that is too small to count."""
    objects = np.zeros((3, SIZE, SIZE), np.uint8)
    for t in range(3):
        min_x = 8 + 6 * t
        objects[t, 20:44, min_x : min_x + 12] = 1
        objects[t, 32:44, min_x + 12 : min_x + 24] = 1
    objects[:, 0, 40:60] = 2
    return SceneClip(frames=np.zeros((3, SIZE, SIZE, 3), np.uint8), objects=objects, classes=np.zeros(2, np.int16))


FILLED = 3 / 4
"""Share of its box that the L fills."""
STAYED = np.mean([(12 * 18 + 12 * 6) / (2 * 432 - (12 * 18 + 12 * 6)), 12 * 12 / (2 * 432 - 12 * 12)])
"""Overlap after a shift by 6: 12 · 18 pixels of the lower bar and 12 · 6 of the upper one; by 12: 12 · 12 and 0."""


def measure(stamps, monkeypatch, masks, followed: int) -> PromptFigures:
    """Measure a predictor with scripted masks: for a box, for a click, and for later frames."""

    class ScriptedPredictor:
        def __init__(self, sam2) -> None:
            pass

        def encode(self, frames):
            return tuple(frames)

        def mask(self, frame, prompts):
            return masks[0] if prompts.box is not None else masks[1]

        def track(self, frames, first):
            assert np.array_equal(first, clip().objects[0] == 1)
            return masks[2]

    monkeypatch.setattr(evaluate_sam2, "_Predictor", ScriptedPredictor)
    held_out = PromptEvaluation(1, followed, size=SIZE, frames=3, stamps=stamps)
    held_out.scenes = [clip()]
    return held_out.measure(None)


def test_perfect_masks_score_1(stamps, monkeypatch):
    true = clip().objects == 1
    figures = measure(stamps, monkeypatch, (true[0], true[0], list(true[1:])), 1)
    assert figures == PromptFigures(
        objects=1, box=1.0, point=1.0, filled=FILLED, followed=1.0, stayed=pytest.approx(float(STAYED))
    )


def test_figures_use_their_own_masks(stamps, monkeypatch):
    true = clip().objects == 1
    filled = np.zeros_like(true[0])
    filled[20:44, 8:32] = True
    figures = measure(stamps, monkeypatch, (filled, true[0] & False, [true[0], true[0]]), 1)
    assert (figures.box, figures.point) == (FILLED, 0.0)
    assert figures.followed == figures.stayed == pytest.approx(float(STAYED))


def test_figures_without_followed_clips_are_none(stamps, monkeypatch):
    true = clip().objects == 1
    figures = measure(stamps, monkeypatch, (true[0], true[0], []), 0)
    assert (figures.followed, figures.stayed) == (None, None)
    assert json.loads(json.dumps(asdict(figures)))["followed"] is None


@pytest.fixture(scope="module")
def mini(stamps):
    """Model with weights initialised from scenes, so that its masks have shapes."""
    model = mini_sam2(None, SIZE)
    frames = PromptEvaluation(1, 0, size=SIZE, stamps=stamps).scenes[0].frames
    init_weights(model, backbone_maps(model, normalise(torch.from_numpy(frames).permute(0, 3, 1, 2))))
    return model


def test_measurement_is_reproducible_and_leaves_the_model_unchanged(mini, stamps):
    before = {name: value.clone() for name, value in mini.state_dict().items()}
    held_out = PromptEvaluation(3, 2, size=SIZE, frames=3, stamps=stamps)
    figures = held_out.measure(mini)
    assert held_out.measure(mini) == figures
    assert not any(module.training for module in mini.modules())
    assert all(torch.equal(value, before[name]) for name, value in mini.state_dict().items())
    assert figures.objects >= 3
    assert all(0 <= value <= 1 for name, value in asdict(figures).items() if name != "objects")


@torch.no_grad()
def test_saved_model_predicts_the_same_masks(mini, stamps, tmp_path):
    reloaded = load_sam2(export_model(mini, tmp_path / "model"))
    clip = PromptEvaluation(1, 0, size=SIZE, stamps=stamps).scenes[0]
    pixels = normalise(torch.from_numpy(clip.frames).permute(0, 3, 1, 2))
    masks = []
    for model in (mini, reloaded):
        network = PromptableSam2(model, 3).eval()
        prompts = draw_prompts(clip.objects, 2, "double", np.random.default_rng(0))
        assert prompts is not None
        targets = torch.from_numpy(clip.objects)[prompts.frames] == prompts.objects[:, None, None]
        masks.append(
            network.predict_frames(network.levels(backbone_maps(model, pixels)), prompts, targets, "focal").logits
        )
    original, saved = masks
    assert float(original.std()) > 0
    assert float((original - saved).abs().max()) < 0.01 * float(original.abs().max())
    assert float(((original > 0) == (saved > 0)).float().mean()) > 0.99


def test_command_prints_the_figures(mini, stamps, tmp_path, capsys):
    export_model(mini, tmp_path / "model")
    options = ["--clips", "1", "--stamps", str(stamps)]
    assert evaluate_sam2.main([str(tmp_path / "model"), *options]) == 0
    expected = PromptEvaluation(1, 1, size=SIZE, stamps=stamps).measure(load_sam2(tmp_path / "model"))
    assert json.loads(capsys.readouterr().out) == asdict(expected)
    assert evaluate_sam2.main([str(tmp_path / "missing"), *options]) == UnavailableError.exit_code
    assert "no such folder" in capsys.readouterr().err
