"""Clips whose frames all begin anew: at once in training, one by one when a video is segmented."""

from __future__ import annotations

import pytest
import torch

from auralsam2.inference.clip import track_frames
from auralsam2.training.dataset import training_samples
from auralsam2.training.initialise import build_network
from auralsam2.training.lightning_module import AuralModule
from auralsam2.training.recipe import TrainingRecipe
from helpers.small_training import values, write_parts


@pytest.fixture(scope="module")
def module(tmp_path_factory) -> AuralModule:
    folder = write_parts(tmp_path_factory.mktemp("each"))
    given = values(folder, conditioning="each")
    given["model"]["clip"]["conditioning"] = "each"
    recipe = TrainingRecipe.from_dict(given)
    clips = training_samples(recipe.data, "train")
    return AuralModule(build_network(recipe), recipe, clips, clips[:1]).eval()


@torch.no_grad()
def test_all_at_once_is_as_one_by_one(module):
    clip = module.held_out[0]
    fused, decoded = module.run_clip(clip, "each")
    net = module.network
    frames = module._encode(clip).split()
    tracked = track_frames(net, frames, fused.prompts, conditioning="each")
    assert [frame.t for frame in tracked] == list(range(len(frames)))
    for t, frame in enumerate(tracked):
        torch.testing.assert_close(frame.decoded.logits[0], decoded.logits[t], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(frame.decoded.ious[0], decoded.ious[t], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(frame.decoded.object_score[0], decoded.object_score[t], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_no_frame_remembers_another(module):
    clip = module.held_out[0]
    net, frames = module.network, module._encode(clip).split()
    fused = net.fuse(frames, clip.log_mel)
    alone = track_frames(net, frames[2:3], fused.prompts.frame(2), conditioning="each")[0]
    among = track_frames(net, frames, fused.prompts, conditioning="each")
    remembering = track_frames(net, frames, fused.prompts, conditioning="first")
    assert torch.equal(alone.decoded.logits, among[2].decoded.logits)
    assert not torch.equal(alone.decoded.logits, remembering[2].decoded.logits)


@pytest.mark.parametrize("matching", [0.0, 2.0])
def test_where_matching_teaches_the_drawn_mask_masks_do_not(tmp_path, matching):
    given = values(write_parts(tmp_path), conditioning="each") | {"variant": "paper"}
    given["model"]["clip"]["conditioning"] = "each"
    given["model"]["extensions"] = {"attention_scope": "frame", "predict_coarse_mask": True}
    given["contrast"] = {"mode": "none", "matching": matching}
    recipe = TrainingRecipe.from_dict(given)
    clips = training_samples(recipe.data, "train")
    training = AuralModule(build_network(recipe), recipe, clips, clips[:1])
    _, decoded = training.run_clip(training.held_out[0], "each")
    decoded.logits.square().mean().backward()
    # The projections are read by the drawn mask and by nothing else that is decoded.
    gradients = [parameter.grad for parameter in training.network.fuser.train_proj_v1.parameters()]
    reached = any(gradient is not None and bool(gradient.any()) for gradient in gradients)
    assert reached == (matching == 0)
    assert training.network.fuser.patch_embeds[0].weight.grad.any()
