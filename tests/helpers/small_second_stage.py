"""A Mask2Former of a few random layers, for the second stage."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation

from auralsam2.config import AudioEncoderConfig
from auralsam2.data.class_names import AVSS
from auralsam2.semantics.stage_config import SecondStageConfig

PARTS = ("guide_features", "guide_positions", "guide_attention", "audio", "adapters", "swin_adapters")
OFF = dict.fromkeys(PARTS, False)
"""Settings of a stage that is a stock Mask2Former."""
AUDIO = {"channels": [2, 2, 2, 2], "hidden": 8, "embedding": 16}


def small_mask2former(classes: int = len(AVSS), seed: int = 0) -> Mask2FormerForUniversalSegmentation:
    """For inputs of 64 px; three decoder layers, so that each level is read once."""
    backbone = {
        "model_type": "swin",
        "image_size": 64,
        "embed_dim": 8,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 1, 2, 2],
        "window_size": 4,
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    }
    torch.manual_seed(seed)
    config = Mask2FormerConfig(
        backbone_config=backbone,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        dim_feedforward=16,
        encoder_layers=1,
        decoder_layers=4,
        num_attention_heads=2,
        num_queries=5,
        train_num_points=32,
        id2label={number: f"class {number}" for number in range(classes)},
    )
    return Mask2FormerForUniversalSegmentation(config).eval()


def small_stage(**changes: Any) -> SecondStageConfig:
    values: dict[str, Any] = {
        "names": AVSS,
        "image_size": 64,
        "label_size": 48,
        "adapter_width": 8,
        "audio_hidden": 12,
        "audio_encoder": AudioEncoderConfig(**AUDIO),  # type: ignore[arg-type]
    }
    return SecondStageConfig(**(values | changes))
