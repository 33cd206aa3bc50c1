"""The table of prompt parts: which prompts reach the decoder, and the command."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

import prompt_parts
from auralsam2.config import ClipConfig, ExtensionsConfig, FuserConfig, PromptingConfig
from auralsam2.errors import UsageError
from auralsam2.model import AuralSAM2
from auralsam2.modeling.network import AuralNetwork
from helpers.dataset_trees import write_stampavs
from helpers.small_networks import small_config, small_sam2


@pytest.fixture(scope="module")
def model() -> AuralSAM2:
    config = dataclasses.replace(
        small_config(frames=3),
        fuser=FuserConfig.preset("paper", width=256, visual_depths=(1, 1, 1), token_depth=1),
        prompting=PromptingConfig.preset("paper"),
        extensions=ExtensionsConfig(attention_scope="frame", standardize_inputs=True),
        clip=ClipConfig(frames=3, conditioning="each"),
    )
    torch.manual_seed(2)
    network = AuralNetwork(config, small_sam2(64))
    for fusion in network.fuser.fusion_modules:
        for layer in (*fusion.W_z, *fusion.W_z2):
            if hasattr(layer, "weight"):
                torch.nn.init.normal_(layer.weight)
    return AuralSAM2(network, "small")


def logits(model: AuralSAM2, pixels: torch.Tensor, log_mel: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        frames, prompts = model.network.encode_clip(pixels, log_mel)
        assert prompts is not None
        return model.network.decode_independently(frames, prompts).logits


def test_rows_switch_parts_of_the_prompts(model):
    torch.manual_seed(0)
    pixels, log_mel = torch.randn(2, 3, 64, 64), torch.randn(2, 2, 96, 64)
    masks = {p.name: logits(prompt_parts.with_parts(model, p), pixels, log_mel) for p in prompt_parts.PARTS}
    with torch.no_grad():
        frames = model.network.encode(pixels)
        no_prompts = model.network.prompts(frames, log_mel)
        zero = dataclasses.replace(
            no_prompts,
            visual_prompts=tuple(torch.zeros_like(level) for level in no_prompts.visual_prompts),
            audio_prompts=tuple(torch.zeros_like(level) for level in no_prompts.audio_prompts),
        )
        stock = model.network.decode_independently(frames, zero).logits
    assert torch.equal(masks["prompts zeroed"], stock)
    assert torch.equal(masks["dense and sparse"], logits(model, pixels, log_mel))
    names = list(masks)
    for number, one in enumerate(names):
        for other in names[number + 1 :]:
            assert not torch.allclose(masks[one], masks[other], atol=1e-4), (one, other)


def test_a_model_without_gains_is_refused():
    network = AuralNetwork(small_config(), small_sam2(64))
    with pytest.raises(UsageError, match="no gains"):
        prompt_parts.with_parts(AuralSAM2(network, "plain"), prompt_parts.PARTS[0])


def test_the_command_writes_a_row_for_each_part_and_uses_reports_again(model, tmp_path, monkeypatch, capsys):
    root = write_stampavs(
        tmp_path / "stamp",
        (
            ("test-seen_00000", "test-seen", "standard", "single", 3),
            ("test-seen_00001", "test-seen", "standard", "single", 3),
        ),
    )
    small_sam2(64).save_pretrained(tmp_path / "model/sam2")
    model.save_pretrained(tmp_path / "model")
    document = tmp_path / "results.md"
    document.write_text("<!-- begin prompt-parts -->\n<!-- end prompt-parts -->\n")
    call = ["prompt_parts", str(root), "--model", str(tmp_path / "model"), "--splits", "test-seen", "--dtype", "fp32"]
    monkeypatch.setattr("sys.argv", [*call, "--out", str(tmp_path / "out"), "--write", str(document)])
    assert prompt_parts.main() == 0
    text = document.read_text()
    assert [row.split(" | ")[1] for row in text.splitlines() if row.startswith("| test-seen")] == [
        part.name for part in prompt_parts.PARTS
    ]
    rows = json.loads((tmp_path / "out/parts.json").read_text())
    report = json.loads((tmp_path / "out/sparse-only/stampavs.test-seen.audio.own.json").read_text())
    assert rows[2]["M_J"] == report["summary"]["M_J"]
    gain = rows[2]["M_J"]["value"] - rows[0]["M_J"]["value"]
    assert rows[2]["difference"]["value"] == pytest.approx(gain)
    capsys.readouterr()
    assert prompt_parts.main() == 0
    assert "samples" not in capsys.readouterr().err
