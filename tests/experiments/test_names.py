"""Scores of namer and second stage on a small StampAVS."""

from __future__ import annotations

import json
from pathlib import Path

import torch

import names
from auralsam2.data.class_names import STAMPAVS
from auralsam2.model import AuralSAM2
from auralsam2.modeling.audio_encoder import AudioEncoder
from auralsam2.modeling.object_namer import ObjectNamer
from auralsam2.semantics.mask2former import GuidedMask2Former
from auralsam2.semantics.second_stage import SecondStage
from helpers.dataset_trees import write_stampavs
from helpers.small_networks import save_small_model
from helpers.small_second_stage import small_mask2former, small_stage


def test_scores_of_true_masks(tmp_path: Path):
    root = write_stampavs(tmp_path / "stamp", [("a", "test-seen", "standard", "single", 2)])
    folder = save_small_model(tmp_path / "model", frames=2)
    width = json.loads((folder / "sam2" / "config.json").read_text())["vision_config"]["fpn_hidden_size"]
    torch.manual_seed(0)
    namer = ObjectNamer(("dog", "violin"), width, 8)
    with torch.no_grad():
        namer.head[-1].bias.copy_(torch.tensor([100.0, 0.0]))
    namer.save(folder / "namer")
    network = GuidedMask2Former.from_stock(small_mask2former(), small_stage(names=STAMPAVS))
    stage = SecondStage(network, AudioEncoder(network.stage.audio_encoder)).eval()
    model = AuralSAM2.from_pretrained(str(folder), "cpu", "fp32")
    figures = names.score_names(model, root, "test-seen", stage=stage)
    assert set(figures.sums) == {
        ("namer", "own"),
        ("namer", "true"),
        ("namer", "own, true names"),
        ("second stage", "own"),
        ("second stage", "true"),
    }
    assert figures.sounding.nonzero().flatten().tolist() == [STAMPAVS.index("dog")]
    assert figures.means("namer", "true") == (1.0, 1.0), "every source is a dog"
    rows = names.figure_rows(figures, {"namer": 1_500_000, "second stage": 2_000_000})
    costs = {(row[0], row[1]): row[-2] for row in rows}
    assert costs["namer", "own"] == "1.50 M"
    assert costs["namer", "true"] == ""


def test_namer_of_the_other_category_scores_0(tmp_path: Path):
    root = write_stampavs(tmp_path / "stamp", [("a", "test-seen", "standard", "single", 2)])
    folder = save_small_model(tmp_path / "model", frames=2)
    width = json.loads((folder / "sam2" / "config.json").read_text())["vision_config"]["fpn_hidden_size"]
    namer = ObjectNamer(("violin",), width, 8)
    namer.save(folder / "namer")
    figures = names.score_names(AuralSAM2.from_pretrained(str(folder), "cpu", "fp32"), root, "test-seen")
    assert figures.means("namer", "true") == (0.0, 0.0)
