"""SAM 2 of transformers: sizes, configuration, loading. All of it is frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from transformers import Sam2VideoConfig, Sam2VideoModel
from transformers.models.sam2_video.configuration_sam2_video import (
    Sam2VideoMaskDecoderConfig,
    Sam2VideoPromptEncoderConfig,
)

from auralsam2.errors import ConfigError
from auralsam2.modeling.fast_attention import use_fast_attention
from auralsam2.utils.pretrained import check_config, load_outline, load_part, pretrained_errors

Size = Literal["tiny", "small", "base-plus", "large"]
Version = Literal["2.0", "2.1"]


def _hiera(
    width: int, heads: int, blocks: list[int], windows: list[int], global_blocks: list[int], background: int
) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "num_attention_heads": heads,
        "blocks_per_stage": blocks,
        "window_size_per_stage": windows,
        "global_attention_blocks": global_blocks,
        "window_positional_embedding_background_size": [background, background],
    }


BACKBONES = {
    "tiny": _hiera(96, 1, [1, 2, 7, 2], [8, 4, 14, 7], [5, 7, 9], 7),
    "small": _hiera(96, 1, [1, 2, 11, 2], [8, 4, 14, 7], [7, 10, 13], 7),
    "base-plus": _hiera(112, 2, [2, 3, 16, 3], [8, 4, 14, 7], [12, 16, 20], 14),
    "large": _hiera(144, 2, [2, 6, 36, 4], [8, 4, 16, 8], [23, 33, 43], 7),
}
"""Hiera backbones as published; SAM 2 and SAM 2.1 share them."""


def sam2_config(size: Size, version: Version = "2.0", image_size: int = 1024, **changes: Any) -> Sam2VideoConfig:
    """Return the configuration of a published SAM 2.

    Args:
        size: size of the Hiera backbone.
        version: 2.1 adds an embedding for occluded frames and temporal positions of object pointers.
        image_size: S, a multiple of 32.
        changes: fields of the backbone's configuration to replace, for small models in tests and benchmarks.

    Raises:
        ConfigError: unknown size or version.
    """
    if size not in BACKBONES or version not in ("2.0", "2.1"):
        raise ConfigError(f"no SAM {version} {size}; sizes: {', '.join(BACKBONES)}; versions: 2.0, 2.1")
    backbone = BACKBONES[size] | changes
    stages = len(backbone["blocks_per_stage"])
    widths = [backbone["hidden_size"] * 2**stage for stage in range(stages)]
    heads = [backbone["num_attention_heads"] * 2**stage for stage in range(stages)]
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": {
            "model_type": "sam2_hiera_det_model",
            "embed_dim_per_stage": widths,
            "num_attention_heads_per_stage": heads,
        }
        | backbone,
        "backbone_channel_list": widths[::-1],
    }
    config = Sam2VideoConfig(
        vision_config=vision,
        enable_occlusion_spatial_embedding=version == "2.1",
        enable_temporal_pos_encoding_for_object_pointers=version == "2.1",
    )
    return resized(config, image_size)


def resized(config: Sam2VideoConfig, image_size: int) -> Sam2VideoConfig:
    """Return the configuration of the same model for another image size, a multiple of 32; weights carry over.

    Raises:
        ConfigError: the size is not a multiple of 32.
    """
    if image_size % 32:
        raise ConfigError(f"image_size {image_size} is not a multiple of 32")
    values = config.to_dict()
    grid = image_size // 16
    values["image_size"] = image_size
    values["memory_attention_rope_feat_sizes"] = [grid, grid]
    values["prompt_encoder_config"]["image_size"] = image_size
    values["vision_config"]["backbone_feature_sizes"] = [[scale * grid, scale * grid] for scale in (4, 2, 1)]
    backbone = values["vision_config"]["backbone_config"]
    if "image_size" in backbone:
        backbone["image_size"] = [image_size, image_size]
    return Sam2VideoConfig(**values)


def with_width(config: Sam2VideoConfig, width: int) -> Sam2VideoConfig:
    """Return the configuration with C instead of 256 channels in neck, prompt encoder, mask decoder and memory.

    C is a multiple of 64 above 64: the memory has 64 channels, and a pointer is split into C / 64 tokens.

    Raises:
        ConfigError: wrong width.
    """
    if width % 64 or width <= 64:
        raise ConfigError(f"width {width} is not a multiple of 64 above 64")
    values = config.to_dict()
    values["vision_config"]["fpn_hidden_size"] = width
    for section in (Sam2VideoPromptEncoderConfig, Sam2VideoMaskDecoderConfig):
        values[section.base_config_key]["hidden_size"] = width
    values["mask_decoder_config"]["iou_head_hidden_dim"] = width
    for key in (
        "memory_attention_hidden_size",
        "memory_encoder_hidden_size",
        "mask_downsampler_embed_dim",
        "memory_fuser_embed_dim",
    ):
        values[key] = width
    return Sam2VideoConfig(**values)


def load_sam2(folder: Path, image_size: int | None = None) -> Sam2VideoModel:
    """Load a frozen SAM 2 in evaluation mode, as float32 regardless of the precision of its file.

    Args:
        folder: config.json and safetensors in transformers' format.
        image_size: S; None for the size in its configuration.

    Raises:
        UnavailableError: the folder contains no such model, or its files are damaged.
        ConfigError: its configuration is out of range, or weights are missing or not finite.
    """
    with pretrained_errors(folder, "SAM 2 in transformers' format"):
        large = check_config(folder)
        config = Sam2VideoConfig.from_pretrained(folder)
        native = config.image_size if isinstance(config.image_size, int) else config.image_size[0]
        if image_size is not None and image_size != native:
            config = resized(config, image_size)
        elif native % 32 or not 32 <= native <= 8192:
            raise ConfigError(f"{folder / 'config.json'}: image_size {native} is no multiple of 32 from 32 to 8192")
        if large:
            load_outline(lambda: Sam2VideoModel(config), folder)
        return use_fast_attention(load_part(Sam2VideoModel, folder, config))


def input_side(model: Sam2VideoModel) -> int:
    """S, the side of the model's square input in pixels."""
    size = model.config.image_size
    return size if isinstance(size, int) else size[0]


def freeze(model: Sam2VideoModel) -> Sam2VideoModel:
    """Set evaluation mode, switch gradients of the parameters off, and return the model."""
    return model.eval().requires_grad_(False)
