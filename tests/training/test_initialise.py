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
    """A model that hears only, with gains that no start value has."""
    given = values(folder) | {"variant": "paper"}
    given["model"]["extensions"] = {"standardize_inputs": True}
    net = build_network(TrainingRecipe.from_dict(given))
    net.fuser.visual_gains.data.fill_(0.7)
    AuralSAM2(net, "small").save_pretrained(folder / "model")
    return folder / "model", net


def later(folder, model, **fuser: object) -> TrainingRecipe:
    given = values(folder, text=True) | {"variant": "paper", "fuser_from": str(model)}
    given["trainer"]["seed"] = 5
    given["model"]["fuser"] |= fuser
    given["model"]["extensions"] = {"standardize_inputs": True}
    return TrainingRecipe.from_dict(given)


def test_one_that_reads_goes_on_from_one_that_hears(folder, model):
    path, heard = model
    recipe = later(folder, path)
    net = build_network(recipe)
    fresh = build_network(dataclasses.replace(recipe, fuser_from=None)).fuser.state_dict()
    for name, value in net.fuser.state_dict().items():
        source = fresh if name.startswith("text_proj.") else heard.fuser.state_dict()
        assert torch.equal(value, source[name]), name


def test_what_was_measured_and_learnt_stays(folder, model):
    path, heard = model
    recipe = later(folder, path)
    clips = training_samples(recipe.data, "train")
    training = AuralModule(build_network(recipe), recipe, clips, clips[:1])
    assert torch.equal(training.network.fuser.visual_gains, heard.fuser.visual_gains)
    assert torch.equal(training.network.fuser.token_standard.mean, heard.fuser.token_standard.mean)


def test_another_shape_is_refused(folder, model):
    path, _ = model
    with pytest.raises(ConfigError, match="another fuser"):
        build_network(later(folder, path, inner_width=32))


def test_a_model_that_is_not_there(folder, model):
    _, heard = model
    with pytest.raises(UnavailableError):
        load_fuser(heard, str(folder / "nothing"))
