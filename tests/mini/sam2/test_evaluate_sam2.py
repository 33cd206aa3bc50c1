"""The figures of a model, worked by hand, and those of a model that was saved."""

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
    """An L of 3 · 12² pixels that goes 6 pixels to the right in each frame, and a speck that does not count."""
    owners = np.zeros((3, SIZE, SIZE), np.uint8)
    for t in range(3):
        left = 8 + 6 * t
        owners[t, 20:44, left : left + 12] = 1
        owners[t, 32:44, left + 12 : left + 24] = 1
    owners[:, 0, 40:60] = 2
    return SceneClip(frames=np.zeros((3, SIZE, SIZE, 3), np.uint8), objects=owners, classes=np.zeros(2, np.int16))


FILLED = 3 / 4
"""The L fills three quarters of its box."""
STAYED = np.mean([(12 * 18 + 12 * 6) / (2 * 432 - (12 * 18 + 12 * 6)), 12 * 12 / (2 * 432 - 12 * 12)])
"""Shifted by 6: the lower bar overlaps in 12 · 18 pixels, the upper one in 12 · 6. By 12: 12 · 12 and none."""


def measured(stamps, monkeypatch, answers, followed: int) -> PromptFigures:
    """With a model of which every mask is given: by box, by click, later frames."""

    class Given:
        def __init__(self, sam2) -> None:
            pass

        def encode(self, frames):
            return tuple(frames)

        def mask(self, frame, prompts):
            return answers[0] if prompts.box is not None else answers[1]

        def track(self, frames, first):
            assert np.array_equal(first, clip().objects[0] == 1)
            return answers[2]

    monkeypatch.setattr(evaluate_sam2, "_Predictor", Given)
    held_out = PromptEvaluation(1, followed, size=SIZE, frames=3, stamps=stamps)
    held_out.scenes = [clip()]
    return held_out.measure(None)


def test_perfect_masks_give_1(stamps, monkeypatch):
    true = clip().objects == 1
    found = measured(stamps, monkeypatch, (true[0], true[0], list(true[1:])), 1)
    assert found == PromptFigures(
        objects=1, box=1.0, point=1.0, filled=FILLED, followed=1.0, stayed=pytest.approx(float(STAYED))
    )


def test_each_mask_counts_for_its_own_figure(stamps, monkeypatch):
    true = clip().objects == 1
    filled = np.zeros_like(true[0])
    filled[20:44, 8:32] = True
    found = measured(stamps, monkeypatch, (filled, true[0] & False, [true[0], true[0]]), 1)
    assert (found.box, found.point) == (FILLED, 0.0)
    assert found.followed == found.stayed == pytest.approx(float(STAYED))


def test_without_following_there_are_no_figures_for_it(stamps, monkeypatch):
    true = clip().objects == 1
    found = measured(stamps, monkeypatch, (true[0], true[0], []), 0)
    assert (found.followed, found.stayed) == (None, None)
    assert json.loads(json.dumps(asdict(found)))["followed"] is None


@pytest.fixture(scope="module")
def mini(stamps):
    """Made ready by scenes, so that its masks have shapes."""
    model = mini_sam2(None, SIZE)
    frames = PromptEvaluation(1, 0, size=SIZE, stamps=stamps).scenes[0].frames
    init_weights(model, backbone_maps(model, normalise(torch.from_numpy(frames).permute(0, 3, 1, 2))))
    return model


def test_measuring_is_repeatable_and_changes_nothing(mini, stamps):
    before = {name: value.clone() for name, value in mini.state_dict().items()}
    held_out = PromptEvaluation(3, 2, size=SIZE, frames=3, stamps=stamps)
    found = held_out.measure(mini)
    assert held_out.measure(mini) == found
    assert not any(module.training for module in mini.modules())
    assert all(torch.equal(value, before[name]) for name, value in mini.state_dict().items())
    assert found.objects >= 3
    assert all(0 <= value <= 1 for name, value in asdict(found).items() if name != "objects")


@torch.no_grad()
def test_a_saved_model_gives_the_same_masks(mini, stamps, tmp_path):
    again = load_sam2(export_model(mini, tmp_path / "model"))
    clip = PromptEvaluation(1, 0, size=SIZE, stamps=stamps).scenes[0]
    pixels = normalise(torch.from_numpy(clip.frames).permute(0, 3, 1, 2))
    masks = []
    for model in (mini, again):
        network = PromptableSam2(model, 3).eval()
        drawn = draw_prompts(clip.objects, 2, "double", np.random.default_rng(0))
        assert drawn is not None
        targets = torch.from_numpy(clip.objects)[drawn.frames] == drawn.objects[:, None, None]
        masks.append(
            network.predict_frames(network.levels(backbone_maps(model, pixels)), drawn, targets, "focal").logits
        )
    one, other = masks
    assert float(one.std()) > 0
    assert float((one - other).abs().max()) < 0.01 * float(one.abs().max())
    assert float(((one > 0) == (other > 0)).float().mean()) > 0.99


def test_the_command_prints_the_figures_of_a_folder(mini, stamps, tmp_path, capsys):
    export_model(mini, tmp_path / "model")
    options = ["--clips", "1", "--stamps", str(stamps)]
    assert evaluate_sam2.main([str(tmp_path / "model"), *options]) == 0
    expected = PromptEvaluation(1, 1, size=SIZE, stamps=stamps).measure(load_sam2(tmp_path / "model"))
    assert json.loads(capsys.readouterr().out) == asdict(expected)
    assert evaluate_sam2.main([str(tmp_path / "missing"), *options]) == UnavailableError.exit_code
    assert "no such folder" in capsys.readouterr().err
