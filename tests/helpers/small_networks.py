"""Networks for tests: hiera-large filled by the number rule, and small random ones."""

from __future__ import annotations

import copy
import dataclasses
import functools
from pathlib import Path

import pytest
import torch
from transformers import Sam2VideoModel

from auralsam2.config import AudioEncoderConfig, ClipConfig, FuserConfig, Modality, ModelConfig
from auralsam2.inference.clip import ClipOutput, segment_clip
from auralsam2.model import AuralSAM2, inference_context
from auralsam2.modeling.audio_encoder import AudioEncoder
from auralsam2.modeling.log_mel import log_mel_examples
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.sam2 import sam2_config, with_width
from auralsam2.modeling.text_encoder import TextEncoder
from helpers.rule_weights import fill, golden_json, samples, tensor, wave, weight
from helpers.small_text import save_small_text


@functools.cache
def _rule_sam2_state(*, encoder: bool = True) -> dict[str, torch.Tensor]:
    """Official weights by rule, under transformers' names; both copies of the position matrix included.

    Without `encoder`, all but those of the image encoder.
    """
    names: dict[str, list[str]] = golden_json("sam2_to_transformers.json")  # type: ignore[assignment]
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in Sam2VideoModel(sam2_config("large")).state_dict().items()}
    shapes |= {"memory_temporal_positional_encoding": (7, 1, 1, 64)}
    state: dict[str, torch.Tensor] = {}
    for official, targets in names.items():
        for target in targets:
            if not encoder and target.startswith("vision_encoder."):
                continue
            base, _, row = target.partition("[")
            if row:
                table = state.setdefault(base, torch.zeros(shapes[base]))
                table[int(row[:-1])] = weight(f"v_model.{official}", (1, shapes[base][1]))[0]
            else:
                state[base] = weight(f"v_model.{official}", shapes[base])
    return state


@functools.cache
def rule_sam2(image_size: int) -> Sam2VideoModel:
    """SAM 2.0 hiera-large filled by the number rule."""
    with pytest.MonkeyPatch.context() as patch:  # random weights of 220 million parameters take seconds
        for name in ("uniform_", "normal_", "trunc_normal_"):
            patch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)
            patch.setattr(torch.Tensor, name, lambda tensor, *_, **__: tensor, raising=False)
        model = Sam2VideoModel(sam2_config("large", image_size=image_size)).eval()
    model.load_state_dict(_rule_sam2_state())
    return model


def rule_decoder_network() -> AuralNetwork:
    """The released model for 256 pixels with small encoders; the other parts of SAM 2 are filled by the number rule."""
    sam2 = copy.deepcopy(small_sam2(256))
    missing, unexpected = sam2.load_state_dict(_rule_sam2_state(encoder=False), strict=False)
    assert {name.partition(".")[0] for name in missing} == {"vision_encoder"}
    assert not unexpected
    audio_encoder = AudioEncoderConfig(channels=(8, 8, 8, 8), hidden=16)
    return AuralNetwork(dataclasses.replace(ModelConfig.released(), audio_encoder=audio_encoder), sam2).eval()


@functools.cache
def rule_audio_encoder() -> AudioEncoder:
    """The released VGGish filled by the number rule."""
    encoder = AudioEncoder(AudioEncoderConfig()).eval()
    fill(encoder, "aural_fuser.vgg.")
    return encoder


@functools.cache
def rule_network(modality: str, image_size: int) -> AuralNetwork:
    """The released model filled by the number rule."""
    network = AuralNetwork(ModelConfig.released(modality), rule_sam2(image_size)).eval()  # type: ignore[arg-type]
    fill(network.fuser, "aural_fuser.")
    network.audio_encoder = rule_audio_encoder()
    return network


@functools.cache
def rule_clip(modality: str, image_size: int, dtype: str) -> ClipOutput:
    """The output of `rule_network` for five frames of noise, five seconds of sound and, where it reads text, words."""
    network = rule_network(modality, image_size)
    text = tensor("text_features", (1, 25, 768))[0] if modality == "audio+text" else None
    frames = tensor(f"frames_{image_size}", (5, 3, image_size, image_size))
    mel = log_mel_examples(samples(wave(5, "wave_5s")))
    with inference_context(AuralSAM2(network, "rule", dtype)):
        return segment_clip(network, frames, mel, text)


@functools.cache
def small_sam2(image_size: int = 128, version: str = "2.0", width: int = 256) -> Sam2VideoModel:
    """A SAM 2 of few random layers; its parameters are spread so that prompts and memories matter."""
    torch.manual_seed(0)
    config = sam2_config(
        "tiny", version, image_size, hidden_size=16, blocks_per_stage=[1, 1, 2, 1], global_attention_blocks=[3]
    )
    model = Sam2VideoModel(with_width(config, width) if width != 256 else config).eval()
    return spread(model)


def spread(model: Sam2VideoModel) -> Sam2VideoModel:
    """Give a model from a configuration useful random weights: transformers' 0.02 makes activations vanish."""
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            fan = parameter[0].numel()
            torch.nn.init.normal_(parameter.data, std=fan**-0.5 if fan > 1 else 0.1)
        elif name.endswith("bias"):
            torch.nn.init.normal_(parameter.data, std=0.02)
    # Published checkpoints hold one position matrix in both places.
    model.prompt_encoder.shared_embedding.positional_embedding.copy_(model.shared_image_embedding.positional_embedding)
    return model


def small_config(modality: Modality = "audio", width: int = 256, frames: int = 5) -> ModelConfig:
    """A small AuralSAM2 on `small_sam2`, its text encoder one of `small_text`."""
    return ModelConfig(
        sam2="sam2",
        text="text" if modality == "audio+text" else None,
        audio_encoder=AudioEncoderConfig(channels=(8, 8, 8, 8), hidden=16, embedding=width // 2),
        fuser=FuserConfig.preset(
            "released", modality, width=width, visual_depths=(1, 1, 1), token_depth=1, text_width=32
        ),
        clip=ClipConfig(frames=frames),
    )


def let_sound_matter(network: AuralNetwork) -> None:
    """The fusion starts as the identity, and a fresh encoder makes nearly one token of all sounds."""
    for fusion in network.fuser.fusion_modules:
        torch.nn.init.normal_(fusion.W_z[1].weight)
        torch.nn.init.normal_(fusion.W_z2[1].weight)
    for parameter in network.audio_encoder.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)


def save_small_model(folder: Path, image_size: int = 64, frames: int = 5) -> Path:
    """A whole model folder, with its SAM 2 inside."""
    sam2 = small_sam2(image_size)
    network = AuralNetwork(small_config(frames=frames), sam2)
    torch.manual_seed(5)
    for name, parameter in network.named_parameters():
        if name.startswith("fuser.fusion") and "W_z" in name and name.endswith("1.weight"):
            torch.nn.init.ones_(parameter)  # the fusion starts as the identity; let sound matter
    sam2.save_pretrained(folder / "sam2")
    AuralSAM2(network, "small").save_pretrained(folder)
    return folder


def save_small_text_model(folder: Path, image_size: int = 64) -> Path:
    """A whole model folder that reads text, with its SAM 2 and text encoder inside."""
    sam2 = small_sam2(image_size)
    text = save_small_text(folder / "text")
    network = AuralNetwork(small_config("audio+text"), sam2, TextEncoder(text))
    sam2.save_pretrained(folder / "sam2")
    return AuralSAM2(network, "small").save_pretrained(folder)
