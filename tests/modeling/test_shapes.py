"""Nothing downstream of the encoder depends on 64×64, 256 channels, 1024 pixels or Hiera."""

import pytest
import torch
from transformers import EdgeTamVisionConfig, Sam2VideoConfig, Sam2VideoModel, TimmWrapperConfig

from auralsam2.config import AudioEncoderConfig, FuserConfig, ModelConfig, PromptingConfig
from auralsam2.inference.clip import segment_clip
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.sam2 import load_sam2, resized, with_width
from helpers.small_networks import small_sam2, spread

SMALL_EAR = (8, 8, 8, 8)


def config(width: int, variant: str = "released", modality: str = "audio") -> ModelConfig:
    return ModelConfig(
        sam2="sam2",
        text="text" if modality == "audio+text" else None,
        audio_encoder=AudioEncoderConfig(channels=SMALL_EAR, hidden=16, embedding=width // 2),
        fuser=FuserConfig.preset(variant, modality, width=width, visual_depths=(1, 1, 1), token_depth=1, text_width=32),
        prompting=PromptingConfig.preset(variant),
    )


def timm_sam2(size: int, width: int = 128) -> Sam2VideoModel:
    """SAM 2's neck, prompt encoder, decoder and memory on a timm backbone with random weights."""
    backbone = TimmWrapperConfig(
        architecture="tf_efficientnet_lite0",
        model_args={"in_chans": 3, "features_only": True, "out_indices": [1, 2, 3, 4]},
    )
    vision = EdgeTamVisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[320, 112, 40, 24],
        backbone_feature_sizes=[[size // 4] * 2, [size // 8] * 2, [size // 16] * 2],
        fpn_hidden_size=width,
        fpn_kernel_size=3,
        fpn_padding=1,
        fpn_top_down_levels=[0, 1, 2, 3],
    )
    torch.manual_seed(1)
    made = with_width(Sam2VideoConfig(vision_config=vision), width)
    return spread(Sam2VideoModel(resized(made, size)).eval())


@pytest.mark.parametrize("variant", ["released", "paper"])
@pytest.mark.parametrize("modality", ["audio", "audio+text"])
@pytest.mark.parametrize(
    ("make", "size", "width", "version"),
    [
        (small_sam2, 128, 256, "2.0"),
        (small_sam2, 192, 256, "2.1"),
        (small_sam2, 128, 128, "2.1"),
        (lambda size, _, width: timm_sam2(size, width), 160, 128, "timm"),
    ],
)
def test_any_size_width_version_backbone(
    variant: str, modality: str, make, size: int, width: int, version: str
) -> None:
    network = AuralNetwork(config(width, variant, modality), make(size, version, width)).eval()
    text = torch.randn(4, 32) if modality == "audio+text" else None
    with torch.inference_mode():
        output = segment_clip(network, torch.randn(4, 3, size, size), torch.randn(4, 2, 96, 64), text)
    assert [frame.t for frame in output.frames] == [0, 1, 2, 3]
    grid = size // 16
    assert output.fuser.prompts.visual_prompts[0].shape == (4, grid * grid, width)
    for frame in output.frames:
        assert frame.decoded.logits.shape == (1, 3, 4 * grid, 4 * grid)
        assert frame.logits.shape == (size, size)
        assert frame.entry.memory.shape == (1, 64, grid, grid)
        assert torch.isfinite(frame.decoded.logits).all()


def test_saved_timm_model_loads(tmp_path) -> None:
    made = timm_sam2(96)
    made.save_pretrained(tmp_path)
    loaded = load_sam2(tmp_path)
    pixels = torch.randn(1, 3, 96, 96)
    with torch.inference_mode():
        before, after = (model.vision_encoder(pixels).fpn_hidden_states[-1] for model in (made, loaded))
    assert torch.equal(before, after)
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_weights_carry_over_to_another_size(tmp_path) -> None:
    small_sam2(128).save_pretrained(tmp_path)
    loaded = load_sam2(tmp_path, image_size=64)
    assert loaded.config.image_size == 64
    assert torch.equal(loaded.no_memory_embedding, small_sam2(128).no_memory_embedding)
    assert loaded.vision_encoder(torch.zeros(1, 3, 64, 64)).fpn_hidden_states[-1].shape[-2:] == (4, 4)
