"""Numbers of the recipes and frames of the losses whose change no other test would find."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from auralsam2.config import FuserConfig
from auralsam2.training.config import ContrastConfig, OptimiserConfig
from auralsam2.training.contrastive_loss import contrastive_loss
from auralsam2.training.dataset import TrainingClip
from auralsam2.training.lightning_module import AuralModule
from auralsam2.training.recipe import TrainingRecipe
from auralsam2.training.run import build_module
from helpers.small_training import values, write_parts


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("pinned"), [("train_00000", "train", "standard", "single", 4)])


def module_of(parts: Path, *, frames: str = "labelled", masks: bool = True) -> AuralModule:
    settings = values(parts)
    settings["model"]["clip"]["frames"] = 4
    settings["data"]["validation"] = "train"
    settings["contrast"] |= {"mode": "audiocon", "frames": frames}
    if not masks:
        settings["losses"] = dict.fromkeys(("focal", "dice", "iou", "occlusion"), 0.0)
    module = build_module(TrainingRecipe.from_dict(settings))
    assert isinstance(module, AuralModule)
    module.train()
    return module


def loss(module: AuralModule, clip: TrainingClip, labels: torch.Tensor) -> float:
    """Loss of a clip whose frames 1 and 3 have no label."""
    supervised = torch.tensor([True, False, True, False])
    return float(module.training_step(clip._replace(labels=labels, supervised=supervised), 0).detach())


def with_other(labels: torch.Tensor, *frames: int) -> torch.Tensor:
    """The labels with those of some frames turned upside down."""
    changed = labels.clone()
    changed[list(frames)] = changed[list(frames)].flip(1)
    return changed


@pytest.mark.parametrize("masks", [True, False], ids=["all losses", "contrast alone"])
def test_frames_without_labels_are_in_no_loss(parts: Path, masks: bool) -> None:
    module = module_of(parts, masks=masks)
    clip = module.clips[0]
    labels = clip.labels
    base = loss(module, clip, labels)
    assert loss(module, clip, with_other(labels, 1, 3)) == base
    for labelled in (0, 2):
        assert abs(loss(module, clip, with_other(labels, labelled)) - base) > 1e-4


def test_contrast_of_the_first_labelled_frame(parts: Path) -> None:
    """Supplement 6.4; on V1S the first frame is the only one with a label, so both readings agree."""
    module = module_of(parts, frames="first", masks=False)
    clip = module.clips[0]
    base = loss(module, clip, clip.labels)
    assert loss(module, clip, with_other(clip.labels, 1, 2, 3)) == base
    assert abs(loss(module, clip, with_other(clip.labels, 0)) - base) > 1e-4
    assert ContrastConfig.preset("paper").frames == "first"
    assert ContrastConfig.preset("released").frames == "labelled"


def test_temperature_and_weight_of_the_contrastive_loss() -> None:
    """A number of the preset, worked out by hand: one visual embedding per class and frame, orthogonal embeddings."""
    side = 2
    labels = torch.zeros(1, 8, 8)
    labels[0, :, :4] = 1
    object_embedding, background, audio = torch.eye(3)
    grid = torch.stack([object_embedding, background, object_embedding, background])[None]
    audio = torch.nn.functional.normalize(object_embedding + audio, dim=0)
    prediction = torch.where(labels > 0, 9.0, -9.0)
    config = ContrastConfig.preset("paper")
    actual = contrastive_loss((grid,), (audio[None],), labels, prediction, config, torch.Generator().manual_seed(0))
    # Anchors are the object's embeddings: positive e_v · e_a = 1 / sqrt 2, negatives e_v · e_b = 0, two of them.
    similarity = torch.tensor(0.5).sqrt() / 0.1
    # Anchors of the background have no positive, and count 0 in the mean.
    expected = -torch.log(similarity.exp() / (similarity.exp() + 2)) / 2
    assert side * side == grid.shape[1]
    assert float(actual) == pytest.approx(float(expected), rel=1e-4)


def test_dropout_and_rates() -> None:
    for variant in ("paper", "released"):
        assert FuserConfig.preset(variant, "audio").dropout == 0.1  # type: ignore[arg-type]
    paper, released = OptimiserConfig.preset("paper"), OptimiserConfig.preset("released")
    assert (paper.rate, paper.weight_decay, paper.audio_encoder_rate, paper.schedule) == (1e-4, 0.01, 0.1, "poly")
    assert (released.rate, released.weight_decay, released.audio_encoder_rate) == (1e-4, 0.05, 0.0)


def test_dropout_is_drawn_in_training(parts: Path) -> None:
    """Each draw number has its own dropout; in evaluation mode there is none."""
    module = module_of(parts)
    clip = module.clips[0]
    dropped = [module.fuse_clip(clip)[1].prompts.visual_prompts[0] for _ in range(2)]
    assert not torch.equal(*dropped)
    module.eval()
    whole = [module.fuse_clip(clip)[1].prompts.visual_prompts[0] for _ in range(2)]
    assert torch.equal(*whole)
    assert (dropped[0] == whole[0]).float().mean() < 0.5
