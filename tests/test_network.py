"""What the network is told where nothing is said."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from auralsam2.config import FuserConfig
from auralsam2.network import DEFAULT_EXPRESSION, AuralNetwork
from auralsam2.text.encoder import TextEncoder
from networks import small_config, small_sam2
from small_text import save_small_text


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> TextEncoder:
    return TextEncoder(save_small_text(tmp_path_factory.mktemp("text")))


def made(text: TextEncoder | None, scope: str) -> AuralNetwork:
    modality = "audio" if text is None else "audio+text"
    fuser = FuserConfig.preset("paper", modality, scope=scope, text_width=32, visual_depths=(1, 1, 1))
    config = dataclasses.replace(small_config(modality), fuser=fuser)
    return AuralNetwork(config, small_sam2(64), text).eval()


def test_what_is_said_is_read(text):
    for scope in ("clip", "frame"):
        found = made(text, scope).read("the dog on the left")
        assert torch.equal(found, text("the dog on the left"))


def test_where_nothing_is_said(text):
    assert torch.equal(made(text, "clip").read(None), text(DEFAULT_EXPRESSION))
    assert made(text, "frame").read(None) is None
    assert made(None, "clip").read("the dog") is None
