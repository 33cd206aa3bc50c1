"""Qualitative panels: colours of the masks, and the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import panels
from auralsam2.data import open_dataset
from auralsam2.data.load import load_clip
from helpers.dataset_trees import write_ref_avs, write_stampavs
from helpers.small_networks import save_small_model, save_small_text_model


def test_truth_is_green_and_predicted_masks_are_pink(tmp_path: Path) -> None:
    root = write_stampavs(tmp_path, (("test-seen_00000", "test-seen", "standard", "single", 3),))
    clip = load_clip(open_dataset("stampavs", root).listing("test-seen").samples[0], 64)
    clip.labels[:] = True
    predicted = torch.zeros_like(clip.labels)
    predicted[1] = True
    sheet = np.asarray(panels.draw_panel(clip, {"ours": predicted})).astype(int)
    step = panels.SIDE + panels.GAP
    plain, green, *pinks = (
        sheet[row * step + step // 2, panels.LABEL + t * step + step // 2]
        for row, t in ((0, 0), (1, 0), (2, 1), (2, 0))
    )
    assert (green - plain)[1] - (green - plain)[0] > 20
    assert (pinks[0] - sheet[step // 2, panels.LABEL + step + step // 2])[0] > 20
    assert np.abs(pinks[1] - plain).max() <= 2, "the mask of the first frame is empty"


def test_the_command_draws_the_first_clips_with_a_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("silence", "single", "single", "single")
    scenes = tuple((f"test-seen_0000{n}", "test-seen", "standard", kind, 3) for n, kind in enumerate(kinds))
    root = write_stampavs(tmp_path / "stamp", scenes)
    save_small_model(tmp_path / "model", frames=3)
    call = ["panels", str(root), str(tmp_path / "out.jpg"), "--models", f"ours={tmp_path / 'model'}"]
    monkeypatch.setattr("sys.argv", [*call, "--clips", "test-seen:2"])
    assert panels.main() == 0
    step, pad = panels.SIDE + panels.GAP, 4 * panels.GAP
    assert Image.open(tmp_path / "out.jpg").size == (panels.LABEL + 3 * step, 2 * (3 * step + panels.WAVE + pad))


def test_sentence_is_written_above_its_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_ref_avs(tmp_path / "ref")
    save_small_text_model(tmp_path / "model")
    call = ["panels", str(root), str(tmp_path / "out.png"), "--models", f"ours={tmp_path / 'model'}"]
    monkeypatch.setattr("sys.argv", [*call, "--dataset", "ref-avs", "--clips", "test_s:2"])
    assert panels.main() == 0
    sheet = np.asarray(Image.open(tmp_path / "out.png"))
    step, pad = panels.SIDE + panels.GAP, 4 * panels.GAP
    assert len(sheet) == panels.TITLE + 3 * step + panels.WAVE + pad, "a clip with two sentences has one panel"
    assert (sheet[: panels.TITLE, panels.LABEL :] < 128).any(), "the sentence"
