"""The model as a predictor: selection of masks, text, and equality with the network itself."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from auralsam2.config import AudioEncoderConfig, ClipConfig, FuserConfig, ModelConfig
from auralsam2.errors import UsageError
from auralsam2.evaluation.clip_scores import score_clip
from auralsam2.evaluation.options import COMBINES, EvaluationOptions
from auralsam2.evaluation.predictor import AuralPredictor, select_masks, silent_log_mel
from auralsam2.evaluation.report import save_masks
from auralsam2.evaluation.run import evaluate
from auralsam2.evaluation.simulated_prompts import first_target
from auralsam2.inference.clip import segment_clip
from auralsam2.inference.object_state import MERGES
from auralsam2.model import AuralSAM2
from auralsam2.modeling.mask_decoder import DecoderOutput
from auralsam2.modeling.network import DEFAULT_EXPRESSION, AuralNetwork
from auralsam2.modeling.preprocess import normalise
from auralsam2.modeling.text_encoder import TextEncoder
from helpers.evaluation_clips import Listed, Loader, listing, sample
from helpers.small_networks import small_sam2
from helpers.small_text import save_small_text


def options(**changes: Any) -> EvaluationOptions:
    return EvaluationOptions(**({"dataset": "stampavs", "split": "test"} | changes))


def make(modality: str, folder: Any = None) -> AuralSAM2:
    config = ModelConfig(
        sam2="sam2",
        text="text" if folder else None,
        audio_encoder=AudioEncoderConfig(channels=(8, 8, 8, 8), hidden=16, embedding=128),
        fuser=FuserConfig.preset("released", modality, visual_depths=(1, 1, 1), token_depth=1, text_width=32),  # type: ignore[arg-type]
        clip=ClipConfig(frames=3, conditioning="middle"),
    )
    torch.manual_seed(1)
    network = AuralNetwork(config, small_sam2(64), TextEncoder(folder) if folder else None)
    for name, parameter in network.named_parameters():
        if name.startswith("fuser.fusion") and "W_z" in name and name.endswith("1.weight"):
            torch.nn.init.ones_(parameter)  # the fusion starts as the identity; let sound and text matter
    return AuralSAM2(network, modality)


@pytest.fixture(scope="module")
def hearing():
    return make("audio")


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    return make("audio+text", save_small_text(tmp_path_factory.mktemp("text")))


def predict(model: AuralSAM2, clip: Any, **changes: Any):
    predictor = AuralPredictor(model, options(**changes))
    return predictor.predict(clip, predictor.prepare(clip))


def test_masks_are_those_of_the_network(hearing):
    clip = Loader()(sample(1, frames=3), 64)
    predictor = AuralPredictor(hearing, options())
    prepared = predictor.prepare(clip)
    assert prepared.shape == (3, 3, 64, 64)
    with torch.inference_mode():
        frames = segment_clip(hearing.network, normalise(prepared), clip.log_mel).frames
    got = predictor.predict(clip, prepared)
    assert torch.equal(got.logits, torch.stack([frame.decoded.logits[0, frame.best] for frame in frames]))
    assert got.object_scores.tolist() == [frame.object_score for frame in frames]
    assert got.ious.tolist() == [frame.iou for frame in frames]


def decoded(score: float) -> Any:
    logits = torch.arange(1.0, 4.0)[None, :, None, None].expand(1, 3, 2, 2)
    frame = DecoderOutput(logits, torch.tensor([[0.2, 0.9, 0.4]]), torch.zeros(1, 3, 4), torch.tensor([[score]]))
    return SimpleNamespace(decoded=frame, best=1, object_score=score)


@pytest.mark.parametrize(
    ("select", "masks", "ious"),
    [("iou", [2, 2], 0.9), ("iou+object", [2, 0], 0.9), ("first", [1, 1], 0.2)],
)
def test_selection(select, masks, ious):
    got = select_masks([decoded(0.0), decoded(-0.1)], select)
    assert got.logits.flatten(1).unique(dim=1)[:, 0].tolist() == masks
    assert got.ious.tolist() == pytest.approx([ious, ious])
    assert got.object_scores.tolist() == pytest.approx([0, -0.1])


def test_text_alone_hears_silence(reading):
    clip = Loader()(replace(sample(1, frames=3), expression="the dog"), 64)
    silent = replace(clip, log_mel=silent_log_mel(clip.log_mel))
    assert torch.equal(
        predict(reading, clip, prompts="text").logits, predict(reading, silent, prompts="audio+text").logits
    )
    assert not torch.equal(
        predict(reading, clip, prompts="text").logits, predict(reading, clip, prompts="audio+text").logits
    )


def test_the_expression_matters(reading):
    clip = Loader()(replace(sample(1, frames=3), expression="the dog on the left"), 64)
    other = replace(clip, sample=replace(clip.sample, expression="a sound"))
    told, retold, untold = (
        predict(reading, clip, prompts="audio+text"),
        predict(reading, other, prompts="audio+text"),
        predict(reading, clip, prompts="audio"),
    )
    assert not torch.equal(told.logits, retold.logits)
    default = replace(clip, sample=replace(clip.sample, expression=DEFAULT_EXPRESSION))
    assert torch.equal(untold.logits, predict(reading, default, prompts="audio+text").logits)


def test_data_without_expressions_cannot_be_read(reading):
    chosen_options = options(prompts="audio+text")
    with pytest.raises(UsageError, match="stampavs has no expressions: use"):
        evaluate(AuralPredictor(reading, chosen_options), listing(2), chosen_options, load=Loader())
    listed = Listed([replace(one, expression="the dog") for one in listing(2, frames=2).samples])
    assert evaluate(AuralPredictor(reading, chosen_options), listed, chosen_options, load=Loader()).scored == 2


def test_a_given_mask_is_scored_as_it_is(hearing, tmp_path):
    """The first frame with a target has an IoU of 1, and its saved mask is the label."""
    clip = Loader()(sample(1, frames=3), 256)
    t = first_target(clip.labels, clip.supervised)
    given, boxed = (predict(hearing, clip, prompts=prompts) for prompts in ("mask", "box"))
    assert list(given.given) == [t]
    rules = options().rules
    row, other = (score_clip(prediction, clip, rules)["frames"] for prediction in (given, boxed))
    at = row["t"].index(t)
    assert (row["iou"][at], row["object_score"][at], row["predicted_iou"][at]) == (1.0, 10.0, 1.0)
    assert row["iou"][at + 1 :] != other["iou"][at + 1 :]
    assert other["iou"][at] < 1
    save_masks(tmp_path, clip, given, rules.threshold)
    saved = np.asarray(Image.open(tmp_path / clip.sample.id / f"{t}.png").resize((256, 256), Image.Resampling.NEAREST))
    assert (saved > 0).any()
    assert ((saved > 0) != clip.labels[t].numpy()).mean() < 0.02


def test_other_weights_are_another_model(hearing):
    before = AuralPredictor(hearing, options()).identity
    assert AuralPredictor(hearing, options()).identity == before
    parameter = next(hearing.network.fuser.parameters())
    with torch.no_grad():
        parameter[0] += 1
        changed = AuralPredictor(hearing, options()).identity
        parameter[0] -= 1
    assert changed["weights"] != before["weights"]


def test_another_configuration_is_another_model(hearing):
    before = AuralPredictor(hearing, options()).identity
    config = hearing.network.config
    hearing.network.config = replace(config, extensions=replace(config.extensions, object_score_offset=1.0))
    changed = AuralPredictor(hearing, options()).identity
    hearing.network.config = config
    assert changed["config"] != before["config"]
    assert changed["weights"] == before["weights"]


def test_an_ensemble_knows_the_rules_of_the_conversation():
    assert ("joint", *MERGES) == COMBINES
