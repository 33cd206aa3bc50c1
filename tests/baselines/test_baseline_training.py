"""Training, resuming, saving and evaluation of the baselines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from auralsam2.baselines.network import AdapterNetwork
from auralsam2.errors import ConfigError
from auralsam2.evaluation.options import EvaluationOptions
from auralsam2.evaluation.predictor import AuralPredictor
from auralsam2.inference.object_state import MaskPrediction, merge_predictions
from auralsam2.model import AuralSAM2
from auralsam2.training.callbacks import LAST
from auralsam2.training.recipe import TrainingRecipe
from auralsam2.training.run import CHECKPOINT, train
from helpers.evaluation_clips import Loader, sample
from helpers.media_files import write_clip
from helpers.small_training import values, write_parts

RECIPES = Path(__file__).parents[2] / "recipes"
STILL = {"flip": 0.0, "grayscale": 0.0, "clip_jitter": [0, 0, 0], "frame_jitter": [0, 0, 0]}


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    return write_parts(tmp_path_factory.mktemp("baselines"), [("train_00000", "train", "standard", "single", 2)])


def recipe_values(parts: Path, method: str, steps: int, *, text: bool = False) -> dict[str, Any]:
    asked = values(parts, text=text, max_steps=steps, validate_every=steps, accumulate=1, conditioning="each")
    options = {"start_block": 2, "standardize_inputs": True} if method == "gavs" else {}
    asked["model"] |= {"method": method, method: options}
    asked["model"]["clip"] |= {"frames": 2, "conditioning": "each"}
    asked["contrast"] = {"mode": "none"}
    asked["optimiser"] = {"rate": 1e-2, "audio_encoder_rate": 0.0, "warm_up": 8, "schedule": "cosine"}
    asked["augment"] = STILL
    asked["data"] |= {"validation": "train", "workers": 0}
    return asked


@pytest.mark.parametrize(("method", "rate"), [("gavs", 2e-2), ("sama", 1e-2)])
def test_baseline_overfits_one_clip(parts, tmp_path, method, rate):
    """Both can learn at all, through a SAM 2 of random weights."""
    asked = recipe_values(parts, method, 50)
    asked["model"][method]["start_block"] = 0  # a random encoder needs all its blocks bent
    asked["optimiser"]["rate"] = rate
    news: list[str] = []
    module = train(TrainingRecipe.from_dict(asked), tmp_path / "run", on_message=news.append)
    assert float(module.trainer.callback_metrics["val/J"]) > 0.9, news
    state = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["state_dict"]
    assert {name.split(".")[0] for name in state} == ({"adapters"} if method == "gavs" else {"adapters", "tuned"})


@pytest.mark.parametrize("method", ["gavs", "sama"])
def test_training_with_text_resumes_and_is_evaluated(parts, tmp_path, method, command):
    file = tmp_path / "small.yaml"
    file.write_text(TrainingRecipe.from_dict(recipe_values(parts, method, 2, text=True)).to_yaml(), encoding="utf-8")
    out = tmp_path / "run"
    assert command("train", file, "--set", f"out={out}").code == 0
    assert command("train", file, "--set", f"out={out}", "--resume").code == 0
    for prompts in ("audio", "audio+text", "points+box", "audio+points+box"):
        name = "stampavs-ref" if "text" in prompts else "stampavs"
        place = ("--dataset", name, "--root", parts / "stamp", "--split", "train")
        outcome = command("evaluate", *place, "--model", out / LAST, "--prompts", prompts, "--json")
        assert outcome.code == 0, outcome.err
        assert json.loads(outcome.out)["scored"] >= 1
    write_clip(tmp_path / "clip.mp4")
    refused = command("segment", tmp_path / "clip.mp4", "--model", out / LAST, "--out", tmp_path / "out")
    assert f"is the baseline {method}" in refused.error


@pytest.mark.parametrize("method", ["gavs", "sama"])
def test_ensemble_merges_masks_with_and_without_adapters(parts, method):
    from auralsam2.training.initialise import build_network

    result = build_network(TrainingRecipe.from_dict(recipe_values(parts, method, 1))).eval()
    assert isinstance(result, AdapterNetwork)
    clip = Loader()(sample(1, frames=3), 64)
    options = EvaluationOptions(dataset="stampavs", split="test", prompts="audio+points+box")
    predictor = AuralPredictor(AuralSAM2(result, method), replace(options, combine="union"))
    actual = predictor.predict(clip, predictor.prepare(clip))
    together = AuralPredictor(AuralSAM2(result, method), options)
    assert not torch.equal(together.predict(clip, together.prepare(clip)).logits, actual.logits)
    first = MaskPrediction(torch.ones(2, 2), 0.5, 1.0)
    assert torch.equal(
        merge_predictions(first, MaskPrediction(-torch.ones(2, 2), 0.5, 1.0), "union").low_res, first.low_res
    )


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (("contrast",), {"mode": "audiocon"}, "contrast.mode 'audiocon' does not go with model.method gavs"),
        (("data", "cache"), "there", "data.cache 'there' does not go with model.method gavs: set it to null"),
        (("trainer", "conditioning"), "middle", "trainer.conditioning 'middle'"),
        (("fuser_from",), "mini", "fuser_from 'mini'"),
    ],
)
def test_invalid_recipes_are_refused(parts, key, value, message):
    asked = recipe_values(parts, "gavs", 1)
    section = asked
    for name in key[:-1]:
        section = section[name]
    section[key[-1]] = value
    with pytest.raises(ConfigError, match=message):
        TrainingRecipe.from_dict(asked)


@pytest.mark.parametrize("method", ["gavs", "sama"])
def test_recipes_of_baselines_differ_in_the_method_alone(method):
    for name, own_output in [("stampavs-mini", "stampavs-mini-fuser")] + [
        (f"{data}-base-plus", f"{data}-base-plus-paper") for data in ("v1s", "v1m", "v2", "ref-avs")
    ]:
        baseline, aural = (TrainingRecipe.load(RECIPES / f"{file}.yaml") for file in (f"{name}-{method}", own_output))
        assert baseline.model.method == method
        for section in ("augment", "audio_from", "variant"):
            assert getattr(baseline, section) == getattr(aural, section)
        if name != "stampavs-mini":  # there other frames a step, and so other steps and rates, were found by trial
            assert (baseline.trainer.epochs, baseline.trainer.max_steps) == (
                aural.trainer.epochs,
                aural.trainer.max_steps,
            )
            assert (baseline.optimiser.rate, baseline.losses) == (aural.optimiser.rate, aural.losses)
        assert (baseline.model.sam2, baseline.model.text) == (aural.model.sam2, aural.model.text)
