"""Text input of the network, and the cap of object scores."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from auralsam2.config import ClipConfig, ExtensionsConfig, FuserConfig
from auralsam2.inference.clip import track_clip
from auralsam2.modeling.network import DEFAULT_EXPRESSION, AuralNetwork
from auralsam2.modeling.text_encoder import TextEncoder
from helpers.small_networks import small_config, small_sam2
from helpers.small_text import save_small_text


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> TextEncoder:
    return TextEncoder(save_small_text(tmp_path_factory.mktemp("text")))


def build_network(text: TextEncoder | None, scope: str, offset: float = 0.0) -> AuralNetwork:
    modality = "audio" if text is None else "audio+text"
    fuser = FuserConfig.preset("paper", modality, text_width=32, visual_depths=(1, 1, 1))
    clip = ClipConfig(frames=3, conditioning="each")
    extensions = ExtensionsConfig(attention_scope=scope, object_score_offset=offset)
    config = dataclasses.replace(small_config(modality), fuser=fuser, extensions=extensions, clip=clip)
    return AuralNetwork(config, small_sam2(64), text).eval()


def test_expression_is_encoded(text):
    for scope in ("clip", "frame"):
        actual = build_network(text, scope).encode_text("the dog on the left")
        assert torch.equal(actual, text("the dog on the left"))


def test_default_expression_without_text(text):
    assert torch.equal(build_network(text, "clip").encode_text(None), text(DEFAULT_EXPRESSION))
    assert build_network(text, "frame").encode_text(None) is None
    assert build_network(None, "clip").encode_text("the dog") is None


@pytest.mark.parametrize("expression", ["the dog on the left", None])
def test_offset_caps_scores_with_text_at_the_mean_of_the_clip(text, expression):
    """The cap is the mean of object score times predicted IoU, less the offset; without text there is no cap."""
    offset = 0.25
    with_offset = build_network(text, "frame", offset=offset)
    without = build_network(text, "frame")
    without.load_state_dict(with_offset.state_dict())
    torch.manual_seed(1)
    pixels, log_mel = torch.randn(3, 3, 64, 64), torch.randn(3, 2, 96, 64)
    with torch.inference_mode():
        frames, offset_frames = (
            list(track_clip(network, pixels, log_mel, network.encode_text(expression)))
            for network in (without, with_offset)
        )
    scores, offset_scores = (torch.tensor([frame.object_score for frame in each]) for each in (frames, offset_frames))
    ious = torch.tensor([frame.iou for frame in frames])
    cap = (scores * ious).mean() - offset
    expected = scores - offset if expression is None else torch.minimum(scores, cap)
    assert len(set(scores.tolist())) == 3
    assert (ious < 1).all()
    torch.testing.assert_close(offset_scores, expected, atol=1e-5, rtol=1e-5)
