"""CLAP and Grounding DINO of few random weights."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    ClapAudioConfig,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapTextConfig,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    PreTrainedTokenizerFast,
    SwinConfig,
)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "?", "the", "sound", "of", "dog", "cat", "bell", "silence", "wind"]
LABELS = ("dog", "cat", "bell")


def small_tokeniser() -> PreTrainedTokenizerFast:
    """Knows a few words."""
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")


def small_clap() -> ClapModel:
    """One block a stage."""
    torch.manual_seed(0)
    audio = ClapAudioConfig(
        patch_embeds_hidden_size=8,
        hidden_size=64,
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 1, 1],
        projection_dim=16,
        window_size=4,
    )
    text = ClapTextConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        projection_dim=16,
        pad_token_id=0,
    )
    model = ClapModel(ClapConfig(text_config=text.to_dict(), audio_config=audio.to_dict(), projection_dim=16)).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    return model


def small_dino() -> GroundingDinoForObjectDetection:
    """Return a Grounding DINO with twelve queries and random weights."""
    torch.manual_seed(0)
    backbone = SwinConfig(
        image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=2,
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    text = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    config = GroundingDinoConfig(
        backbone_config=backbone,
        text_config=text,
        num_queries=12,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_feature_levels=4,
    )
    return GroundingDinoForObjectDetection(config).eval()


def save_small_pipeline(folder: Path) -> Path:
    """Save both models, and write the configuration of a zero-shot pipeline with them."""
    for name, model in (("clap", small_clap()), ("dino", small_dino())):
        model.save_pretrained(folder / name)
        small_tokeniser().save_pretrained(folder / name)
    ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder / "clap")
    tagger = {"model": str(folder / "clap"), "labels": list(LABELS), "min_probability": 0.0}
    detector = {"model": str(folder / "dino"), "shorter": 64, "longer": 96}
    path = folder / "zero-shot.yaml"
    path.write_text(yaml.safe_dump({"tagger": tagger, "detector": detector, "selector": {"min_score": 0.0}}))
    return path
