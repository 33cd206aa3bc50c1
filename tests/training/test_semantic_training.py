"""Training of the second stage: recipes, clips, one epoch of each recipe, and its scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from auralsam2.data.class_names import AVSS, STAMPAVS
from auralsam2.data.load import load_audio, load_clip
from auralsam2.data.registry import open_dataset
from auralsam2.errors import ConfigError, UnavailableError
from auralsam2.evaluation.named_predictor import name_track
from auralsam2.hub.download import BUNDLED
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.modeling.object_namer import ObjectNamer
from auralsam2.semantics.second_stage import SecondStage, load_stock, square_picture
from auralsam2.training.callbacks import BEST, LAST
from auralsam2.training.recipe import TrainingRecipe
from auralsam2.training.semantic_clips import SemanticClips
from auralsam2.training.semantic_recipe import SemanticDataConfig, SemanticRecipe, load_recipe
from auralsam2.training.semantic_run import build_second_stage, load_backbone, train_second_stage
from helpers.dataset_trees import (
    DOG,
    GUITAR,
    frame,
    rectangle,
    write_avsbench,
    write_picture,
    write_stampavs,
)
from helpers.small_second_stage import AUDIO, small_mask2former, small_stage

STONES, FINETUNE = "v2-semantic-stepping-stones.yaml", "v2-semantic-finetune.yaml"
MINIATURE = "stampavs-mini-semantic.yaml"
ROWS = (
    ("v2", "hhhhhhhhhhh_3000_13000", "train"),
    ("v1s", "aaaaaaaaaaa_0_5000", "train"),
    ("v1m", "ddddddddddd", "train"),
    ("v1m", "eeeeeeeeeee", "val"),
    ("v1s", "ggggggggggg_0_5000", "val"),
    ("v1m", "fffffffffff", "test"),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("semantic")
    write_avsbench(folder / "avsbench", ROWS)
    small_mask2former(classes=3).save_pretrained(folder / "stock")
    return folder


def changes(root: Path, **more: object) -> list[str]:
    values = {
        "mask2former": root / "stock",
        "data.root": root / "avsbench",
        "data.masks": root / "masks",
        "data.workers": 0,
        "stage.image_size": 64,
        "stage.label_size": 48,
        "stage.adapter_width": 8,
        "stage.audio_hidden": 12,
        "stage.audio_encoder": json.dumps(AUDIO),
        "audio_from": "null",
        "trainer.accelerator": "cpu",
        "trainer.log_every": 1,
        "trainer.checkpoint_every": 1,
    }
    return [f"{key}={value}" for key, value in (values | more).items()]


def clips(root: Path, split: str = "train", **data: object) -> SemanticClips:
    config = SemanticDataConfig(root=str(root), **({"masks": "masks"} | data))  # type: ignore[arg-type]
    samples = open_dataset("v2-semantic", root / "avsbench").listing(split).samples
    return SemanticClips(samples, small_stage(), config, training=split == "train", seed=5)


def write_masks(folder: Path, root: Path, split: str) -> None:
    for sample in open_dataset("v2-semantic", root / "avsbench").listing(split).samples:
        for number in range(len(sample.frames)):
            write_picture(folder / sample.id / f"{number}.png", rectangle(number))


def test_recipes_are_as_published():
    stones, finetune = (SemanticRecipe.load(Path(name)) for name in (STONES, FINETUNE))
    assert [(phase.epochs, phase.rate, phase.swin_adapters) for phase in stones.phases] == [
        (20, 1e-3, False),
        (40, 1e-4, True),
    ]
    assert [(phase.epochs, phase.rate, phase.swin_adapters) for phase in finetune.phases] == [(40, 1e-4, True)]
    assert (stones.data.guide, finetune.data.guide) == ("truth", "predicted")
    for recipe in (stones, finetune):
        assert recipe.stage.names == AVSS
        assert (recipe.stage.image_size, recipe.stage.label_size, recipe.weight_decay) == (384, 224, 0.05)
        assert (recipe.data.shuffle, recipe.stage.drop_path) == (False, True)
        assert (recipe.trainer.seed, recipe.trainer.precision, recipe.trainer.accumulate) == (3407, "fp32", 1)
        assert recipe.data.validation_guide == "predicted"
        assert SemanticRecipe.from_dict(recipe.to_dict()) == recipe
    assert finetune.start_from == "runs/v2-semantic-stepping-stones/best"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("trainer.epochs=3", "trainer.epochs has no meaning for a second stage"),
        ("trainer.conditioning=each", "trainer.conditioning has no meaning"),
        ("trainer.clips_per_pass=1", "trainer.clips_per_pass has no meaning for a second stage: leave it out"),
        ("stage.swin_adapters=true", "stage.swin_adapters follows from phase_1"),
        ("data.masks=null", "data.masks is missing: write the masks"),
        ("data.predicted_share=2", "data.predicted_share is 2"),
        ("data.dataset=v2", "data.dataset is 'v2'"),
        ("data.frames_per_clip=0", "data.frames_per_clip is 0"),
        ("mask2former=[1]", "mask2former is"),
        ("stage.image_size=100", "stage.image_size 100 must be a multiple of 32"),
        ("phase_1.epoch=2", "unknown key phase_1.epoch"),
    ],
)
def test_wrong_recipe(change, message):
    with pytest.raises(ConfigError, match=message):
        load_recipe(Path(STONES), [change])


def test_kind_of_a_recipe():
    assert isinstance(load_recipe(Path("v2-base-plus-paper.yaml")), TrainingRecipe)
    assert isinstance(load_recipe(Path(STONES)), SemanticRecipe)


def test_clips_come_part_by_part(root):
    found = clips(root)
    assert [found.samples[found.order[draw]].id.split("/")[0] for draw in range(6)] == ["v1s", "v1m", "v2"] * 2
    shuffled = clips(root, shuffle=True)
    orders = {tuple(shuffled.order[3 * epoch + number] for number in range(3)) for epoch in range(20)}
    assert len(orders) > 2
    assert all(sorted(order) == [0, 1, 2] for order in orders)


def test_first_frame_of_v1s_is_repeated_with_each_second(root):
    found = clips(root)
    clip, sample = found[0], found.samples[0]
    assert len(clip.pixels) == 5
    assert clip.classes.unique().tolist() == [0, DOG]
    for part in (clip.pixels, clip.classes, clip.guide):
        assert all(torch.equal(part[0], other) for other in part)
    assert torch.equal(clip.log_mel, load_audio(sample))
    assert torch.equal(clip.guide, (clip.classes > 0).float())
    expected = square_picture(np.array(frame(0, masks=[rectangle(0), rectangle(0, place=1)])), 64)
    assert (clip.pixels[0].float() - expected).abs().mean() < 6  # JPEG


def test_all_frames_of_other_clips(root):
    found = clips(root)
    clip = found[2]
    assert clip.pixels.shape == (10, 3, 64, 64)
    assert clip.classes.unique().tolist() == [0, DOG, GUITAR]
    classes = load_clip(found.samples[2], 48).classes
    assert classes is not None
    assert torch.equal(clip.classes, classes)
    assert not torch.equal(clip.pixels[0], clip.pixels[1])


def test_masks_of_the_first_stage_as_guides(root, tmp_path):
    write_masks(tmp_path, root, "train")
    truth = clips(root)[1]
    predicted = clips(root, masks=str(tmp_path), guide="predicted")[1]
    assert not torch.equal(truth.guide, predicted.guide)
    assert torch.equal(predicted.guide[:4], (truth.classes[:4] == DOG).float()), "files of frames from 0 on"
    mixed = clips(root, masks=str(tmp_path), guide="mixed", predicted_share=0.5)
    kinds = [bool(torch.equal(mixed[draw].guide, truth.guide)) for draw in range(1, 31, 3)]
    assert 0 < sum(kinds) < 10
    with pytest.raises(UnavailableError, match=r"0\.png: no mask of the first stage: write it with .* --split train"):
        clips(root, masks=str(tmp_path / "none"), guide="predicted")[1]


def test_one_epoch_of_each_recipe(root, command, small_model, tmp_path):
    """First stage, both recipes of the second stage, and its scores, by the commands of the documentation."""
    tree, stones = root / "avsbench", root / "stones"
    base = ("evaluate", "--root", tree, "--model", small_model, "--protocol", "avsbench")
    for split in ("train", "val"):
        saved = command(*base, "--dataset", "v2", "--split", split, "--save-masks", root / "masks")
        assert saved.code == 0, saved.err
    short = changes(root, **{"phase_1.epochs": 1})
    arguments = [part for change in [*short, "phase_2.epochs=1", f"out={stones}"] for part in ("--set", change)]
    outcome = command("train", STONES, *arguments)
    assert outcome.code == 0, outcome.err
    assert "phase 1: 3 clips, 3 steps; validation on 2 clips" in outcome.err
    assert "phase 2: 3 clips, 3 steps" in outcome.err
    first, second = (load_file(folder / LAST / "model.safetensors") for folder in (stones / "phase-1", stones))
    assert not any("swin_adapt" in name for name in first)
    assert any("swin_adapt" in name for name in second)
    state = torch.load(stones / "last.ckpt", weights_only=True)["state_dict"]
    assert all(name in second for name in state)
    moved = {name for name, value in first.items() if not torch.equal(value, second[name])}
    assert {name for name in moved if "empty_weight" not in name} <= state.keys()
    assert any("queries_embedder" in name for name in moved)

    tuned = root / "tuned"
    more = [*short, f"start_from={stones / BEST}", f"out={tuned}"]
    outcome = command("train", FINETUNE, *[part for change in more for part in ("--set", change)])
    assert outcome.code == 0, outcome.err
    assert "phase 2" not in outcome.err
    start, end = (load_file(folder / "model.safetensors") for folder in (stones / BEST, tuned / LAST))
    assert start.keys() == end.keys()
    (log,) = (tuned / "log").rglob("metrics.csv")
    assert {"train/loss", "val/mIoU", "val/F"} <= set(log.read_text().splitlines()[0].split(","))

    named = ("--dataset", "v2-semantic", "--split", "test", "--namer", tuned / BEST, "--save-masks", tmp_path)
    outcome = command(*base, *named, "--json")
    assert outcome.code == 0, outcome.err
    summary = json.loads(outcome.out)["summary"]
    assert {"mIoU", "class F", "mIoU without background", "M_J"} <= summary.keys()
    # The same maps from the files of the masks.
    data = {"masks": str(tmp_path), "validation_guide": "predicted"}
    clip = clips(root, "test", **data)[0]
    stage = SecondStage.load(tuned / BEST)
    maps = stage.label_maps(clip.pixels, clip.guide, clip.log_mel)
    scores = []
    for number in range(71):
        frames = [(maps[t] == number, clip.classes[t] == number) for t in range(5)]
        ious = [float((a & b).sum() / (a | b).sum()) for a, b in frames if (a | b).any()]
        scores.append(sum(ious) / len(ious) if ious else 0.0)
    # The command scores at 224 px, the stage has labels of 48.
    assert summary["mIoU"]["value"] == pytest.approx(sum(scores) / 71, abs=0.01)


def test_stopped_run_continues_in_the_second_phase(root, tmp_path):
    write_masks(tmp_path / "masks", root, "val")
    more = {"phase_1.epochs": 1, "phase_2.epochs": 1, "data.masks": tmp_path / "masks", "data.split": "val"}
    recipe = SemanticRecipe.load(Path(STONES), changes(root, **more))
    assert recipe.phase_2 is not None

    def stop(line: str) -> None:
        if line.startswith("phase 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_second_stage(recipe, tmp_path / "run", on_message=stop)
    lines: list[str] = []
    train_second_stage(recipe, tmp_path / "run", resume=True, on_message=lines.append)
    train_second_stage(recipe, tmp_path / "whole")
    assert not any(line.startswith("phase 1") for line in lines)
    resumed, whole = (load_file(tmp_path / name / LAST / "model.safetensors") for name in ("run", "whole"))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_object_namer_scores_classes(root, command, small_model, tmp_path):
    torch.manual_seed(0)
    width = json.loads((small_model / "sam2" / "config.json").read_text())["vision_config"]["fpn_hidden_size"]
    ObjectNamer(("dog", "guitar"), width, 8).save(tmp_path / "namer")
    base = ("evaluate", "--root", root / "avsbench", "--model", small_model, "--dataset", "v2-semantic")
    outcome = command(*base, "--split", "test", "--namer", tmp_path / "namer", "--json")
    assert outcome.code == 0, outcome.err
    assert 0 <= json.loads(outcome.out)["summary"]["mIoU"]["value"] < 1
    ObjectNamer(("dog", "unicorn"), width, 8).save(tmp_path / "other")
    outcome = command(*base, "--split", "test", "--namer", tmp_path / "other")
    assert "'unicorn' is no class of v2-semantic" in outcome.error


@pytest.mark.parametrize(
    ("dataset", "namer", "message"),
    [
        ("v2-semantic", "none", "no such folder"),
        ("v2", ".", "v2 has no classes: use --dataset v2-semantic or --dataset stampavs-semantic"),
        ("v2-semantic", ".", "no namer: give a folder"),
    ],
)
def test_wrong_namer(root, command, small_model, tmp_path, monkeypatch, dataset, namer, message):
    monkeypatch.chdir(tmp_path)
    base = ("evaluate", "--root", root / "avsbench", "--model", small_model, "--split", "test")
    outcome = command(*base, "--dataset", dataset, "--namer", namer)
    assert outcome.code == 2
    assert message in outcome.error


def test_frames_of_a_clip_are_drawn_anew(root):
    drawn = clips(root, frames_per_clip=2)
    whole = clips(root)[2]
    sizes, chosen = set(), set()
    for draw in range(2, 32, 3):
        clip = drawn[draw]
        sizes.add(tuple(len(part) for part in clip[1:]))
        places = [next(t for t in range(10) if torch.equal(whole.pixels[t], picture)) for picture in clip.pixels]
        assert all(torch.equal(clip.log_mel[n], whole.log_mel[t]) for n, t in enumerate(places))
        assert all(torch.equal(clip.classes[n], whole.classes[t]) for n, t in enumerate(places))
        chosen.add(tuple(places))
    assert sizes == {(2, 2, 2, 2)}
    assert len(chosen) > 2
    held_out = clips(root, "val", frames_per_clip=2, validation_guide="truth")
    assert len(held_out[0].pixels) == 5, "validation has all frames"


def test_miniature_on_stampavs(command, tmp_path):
    """Trains all of a Mask2Former from random weights, and scores it by the categories of StampAVS."""
    scenes = [("train_0", "train", "standard", "single", 2), ("val_0", "val", "standard", "single", 2)]
    stamp, out = write_stampavs(tmp_path / "stamp", scenes), tmp_path / "run"
    base = ("evaluate", "--root", stamp, "--split", "val", "--threads", 1)
    saved = command(*base, "--dataset", "stampavs", "--save-masks", tmp_path / "masks")
    assert saved.code == 0, saved.err
    settings = {
        "data.root": stamp,
        "data.masks": tmp_path / "masks",
        "data.workers": 0,
        "phase_1.epochs": 1,
        "trainer.accumulate": 1,
        "trainer.accelerator": "cpu",
        "out": out,
    }
    outcome = command(
        "train", MINIATURE, *[part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    )
    assert outcome.code == 0, outcome.err
    stage = SecondStage.load(out / BEST)
    assert stage.stage.names == STAMPAVS
    trained = {name for name, parameter in stage.mask2former.named_parameters() if parameter.requires_grad}
    assert trained == {
        name for name, _ in stage.mask2former.named_parameters() if "pixel_level_module.encoder" not in name
    }
    sam2 = load_file(BUNDLED / "mini/sam2/model.safetensors")
    for name, value in stage.mask2former.backbone.state_dict().items():
        given = sam2[name.replace("_backbone.", "vision_encoder.backbone.timm_model.")]
        assert torch.equal(value, given.to(value.dtype)), name
    assert not any(parameter.requires_grad for parameter in stage.audio_encoder.parameters())
    outcome = command(*base, "--dataset", "stampavs-semantic", "--namer", out / BEST, "--json")
    assert outcome.code == 0, outcome.err
    summary = json.loads(outcome.out)["summary"]
    assert summary["mIoU"]["count"] == 2, "the background and the dog"
    assert summary["mIoU without background"]["count"] == 1


@pytest.mark.parametrize(("change", "training"), [("drop_path=true", True), ("drop_path=false", False)])
def test_mode_of_the_backbone_in_training(root, change, training):
    recipe = SemanticRecipe.load(Path(STONES), [*changes(root), f"stage.{change}"])
    network = build_second_stage(recipe, recipe.phase_1, None)
    assert network.mask2former.class_predictor.training
    assert {module.training for module in network.mask2former.backbone.modules()} == {training}


def test_random_mask2former_follows_the_seed():
    recipe = SemanticRecipe.load(Path(MINIATURE))
    assert isinstance(recipe.mask2former, dict)
    assert SemanticRecipe.from_dict(recipe.to_dict()) == recipe
    first, again, other = (load_stock(recipe.mask2former, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert any(not torch.equal(value, other[name]) for name, value in first.items())
    with pytest.raises(ConfigError, match="mask2former: no configuration of Mask2Former"):
        load_stock({"backbone_config": {"model_type": "swin", "depths": 3}})
    with pytest.raises(ConfigError, match="backbone_from: the SAM 2 of mini has another backbone"):
        load_backbone(small_mask2former().model.pixel_level_module.encoder, "mini")


def test_sources_get_possible_names_only():
    torch.manual_seed(0)
    namer = ObjectNamer(("candy cane", "dog", "violin"), 8, 4).eval()
    with torch.no_grad():
        namer.head[-1].bias.copy_(torch.tensor([100.0, 50.0, 0.0]))
    features = [FrameFeatures(torch.randn(1, 8, 4, 4), torch.randn(1, 1, 16, 16), torch.randn(1, 2, 8, 8))] * 2
    track = torch.ones(2, 64, 64, dtype=torch.bool)
    assert name_track(track, features, namer) == 0
    assert name_track(track, features, namer, torch.tensor([False, True, True])) == 1


def test_namer_of_other_classes(root, command, small_model, tmp_path):
    ObjectNamer(("candy cane", "unicorn"), 16, 8).save(tmp_path / "namer")
    stamp = write_stampavs(tmp_path / "stamp", [("val_0", "val", "standard", "single", 2)])
    base = ("evaluate", "--root", stamp, "--split", "val", "--model", small_model)
    outcome = command(*base, "--dataset", "stampavs-semantic", "--namer", tmp_path / "namer")
    assert "'candy cane' is no class of stampavs-semantic" in outcome.error
