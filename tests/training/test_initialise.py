"""First weights that come from another model."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from auralsam2.errors import ConfigError, UnavailableError
from auralsam2.model import AuralSAM2
from auralsam2.training.dataset import training_samples
from auralsam2.training.initialise import build_network, load_fuser
from auralsam2.training.lightning_module import AuralModule
from auralsam2.training.recipe import TrainingRecipe
from helpers.small_training import values, write_parts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_parts(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def model(folder):
    """A model without text, with gains unlike those of a new model."""
    recipe = values(folder) | {"variant": "paper"}
    recipe["model"]["extensions"] = {"standardize_inputs": True}
    net = build_network(TrainingRecipe.from_dict(recipe))
    net.fuser.visual_gains.data.fill_(0.7)
    AuralSAM2(net, "small").save_pretrained(folder / "model")
    return folder / "model", net


def continued(folder, model, **fuser: object) -> TrainingRecipe:
    given = values(folder, text=True) | {"variant": "paper", "fuser_from": str(model)}
    given["trainer"]["seed"] = 5
    given["model"]["fuser"] |= fuser
    given["model"]["extensions"] = {"standardize_inputs": True}
    return TrainingRecipe.from_dict(given)


def test_model_with_text_continues_one_without(folder, model):
    path, source = model
    recipe = continued(folder, path)
    net = build_network(recipe)
    fresh = build_network(dataclasses.replace(recipe, fuser_from=None)).fuser.state_dict()
    for name, value in net.fuser.state_dict().items():
        expected = fresh if name.startswith("text_proj.") else source.fuser.state_dict()
        assert torch.equal(value, expected[name]), name


def test_model_without_text_continues_one_with_text(folder, model):
    path, _ = model
    with_text = build_network(continued(folder, path))
    AuralSAM2(with_text, "with text").save_pretrained(folder / "with-text")
    recipe = values(folder) | {"variant": "paper", "fuser_from": str(folder / "with-text")}
    recipe["model"]["extensions"] = {"standardize_inputs": True}
    expected = with_text.fuser.state_dict()
    for name, value in build_network(TrainingRecipe.from_dict(recipe)).fuser.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_fewer_levels_are_the_first_ones(folder, model):
    path, source = model
    fuser = build_network(continued(folder, path, levels=2)).fuser
    expected = source.fuser.state_dict()
    for name, value in fuser.state_dict().items():
        if name in ("visual_gains", "audio_gains"):
            assert torch.equal(value, expected[name][:2]), name
        elif not name.startswith("text_proj."):
            assert torch.equal(value, expected[name]), name


def test_statistics_and_gains_are_not_measured_again(folder, model):
    path, source = model
    recipe = continued(folder, path)
    clips = training_samples(recipe.data, "train")
    training = AuralModule(build_network(recipe), recipe, clips, clips[:1])
    assert torch.equal(training.network.fuser.visual_gains, source.fuser.visual_gains)
    assert torch.equal(training.network.fuser.token_standard.mean, source.fuser.token_standard.mean)


def test_another_shape_is_refused(folder, model):
    path, _ = model
    with pytest.raises(ConfigError, match="another fuser"):
        build_network(continued(folder, path, inner_width=32))


def test_missing_model_is_refused(folder, model):
    _, source = model
    with pytest.raises(UnavailableError):
        load_fuser(source, str(folder / "nothing"))
