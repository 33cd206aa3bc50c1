"""First weights that come from another model."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from auralsam2.errors import ConfigError, UnavailableError
from auralsam2.model import AuralSAM2
from auralsam2.training.build import go_on, network
from auralsam2.training.data import samples
from auralsam2.training.module import Training
from auralsam2.training.recipe import Recipe
from small_training import values, write_parts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_parts(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def model(folder):
    """A model that hears only, with gains that no start value has."""
    given = values(folder) | {"variant": "paper"}
    given["model"]["fuser"]["standardise"] = True
    net = network(Recipe.from_dict(given))
    net.fuser.visual_gains.data.fill_(0.7)
    AuralSAM2(net, "small").save_pretrained(folder / "model")
    return folder / "model", net


def later(folder, model, **fuser: object) -> Recipe:
    given = values(folder, text=True) | {"variant": "paper", "fuser_from": str(model)}
    given["trainer"]["seed"] = 5
    given["model"]["fuser"] |= {"standardise": True} | fuser
    return Recipe.from_dict(given)


def test_one_that_reads_goes_on_from_one_that_hears(folder, model):
    path, heard = model
    recipe = later(folder, path)
    net = network(recipe)
    fresh = network(dataclasses.replace(recipe, fuser_from=None)).fuser.state_dict()
    for name, value in net.fuser.state_dict().items():
        source = fresh if name.startswith("text_proj.") else heard.fuser.state_dict()
        assert torch.equal(value, source[name]), name


def test_what_was_measured_and_learnt_stays(folder, model):
    path, heard = model
    recipe = later(folder, path)
    clips = samples(recipe.data, "train")
    training = Training(network(recipe), recipe, clips, clips[:1])
    assert torch.equal(training.network.fuser.visual_gains, heard.fuser.visual_gains)
    assert torch.equal(training.network.fuser.token_standard.mean, heard.fuser.token_standard.mean)


def test_another_shape_is_refused(folder, model):
    path, _ = model
    with pytest.raises(ConfigError, match="another fuser"):
        network(later(folder, path, inner_width=32))


def test_a_model_that_is_not_there(folder, model):
    _, heard = model
    with pytest.raises(UnavailableError):
        go_on(heard, str(folder / "nothing"))
