"""Build the network of a recipe with its initial weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import cast

import torch

from auralsam2.baselines.network import AdapterNetwork
from auralsam2.config import ModelConfig
from auralsam2.errors import ConfigError
from auralsam2.hub import download
from auralsam2.hub.registry import REGISTRY
from auralsam2.model_folder import assemble_model
from auralsam2.modeling.audio_encoder import AudioEncoder
from auralsam2.modeling.extensions import ChannelStandardizer
from auralsam2.modeling.image_encoder import encode_pyramid
from auralsam2.modeling.network import AudioVisualNetwork, AuralNetwork
from auralsam2.paths import is_folder
from auralsam2.training.recipe import TrainingRecipe
from auralsam2.utils.weights import load_weights

GAINS = ("visual_gains", "audio_gains")
AUDIO_ENCODER, FUSER, TEXT_PROJECTION = "audio_encoder.", "fuser.", "text_proj."
SAM2_BACKBONE = "vision_encoder.backbone.timm_model."
"""Start of the names of the weights of timm's backbone in SAM 2."""
SMALL_GAIN = 0.1
"""Initial gain of prompts beside a coarse mask."""


def build_network(recipe: TrainingRecipe) -> AudioVisualNetwork:
    """Load the frozen parts and initialise the others from the seed.

    Raises:
        AuralError: a part is missing, or does not match.
    """
    network = assemble_model(resolve_paths(recipe.model), seed=recipe.trainer.seed)
    if recipe.audio_from is not None:
        load_audio_encoder(network.audio_encoder, recipe.audio_from)
    if recipe.fuser_from is not None and isinstance(network, AuralNetwork):
        load_fuser(network, recipe.fuser_from)
    return network


@torch.no_grad()
def calibrate_fuser(network: AuralNetwork, pixels: torch.Tensor, log_mel: torch.Tensor) -> None:
    """Measure the statistics of standardised fuser inputs, and set the initial gains of the prompts.

    Prompts that the decoder adds to the image embedding at its first step get the standard deviation of that embedding.
    With a predicted coarse mask, all prompts get a small gain instead, as they only refine the mask.

    Args:
        network: with initial weights.
        pixels: (N, 3, S, S) float, normalised training images.
        log_mel: (M, 2, 96, 64), seconds of training audio.
    """
    fuser, maps = network.fuser, encode_pyramid(network.sam2, pixels).maps
    for standard, level in zip(fuser.map_standards, maps, strict=False):
        cast(ChannelStandardizer, standard).measure(level)
    fuser.token_standard.measure(network.audio_encoder(log_mel))
    if network.config.extensions.predict_coarse_mask:
        fuser.visual_gains.fill_(SMALL_GAIN)
        fuser.audio_gains.fill_(SMALL_GAIN)
    else:
        first = len(fuser.visual_gains) - 1 if network.config.prompting.coarse_first else 0
        fuser.visual_gains[first] = maps[-1].std()


@torch.no_grad()
def calibrate_audio_input(network: AdapterNetwork, log_mel: torch.Tensor) -> None:
    """Measure the statistics of a baseline's standardised audio input.

    Args:
        network: with initial weights.
        log_mel: (M, 2, 96, 64), seconds of training audio.
    """
    audio_input = network.adapters.audio_input
    if audio_input.standard is not None:
        audio_input.standard.measure(audio_input.select(network.audio_encoder(log_mel)))


def resolve_paths(config: ModelConfig) -> ModelConfig:
    """Make folders absolute, so that a saved model loads from any directory; names of models are unchanged."""

    def absolute(name: str | None) -> str | None:
        local = name is not None and name not in REGISTRY and is_folder(Path(name))
        return str(Path(name).resolve()) if name is not None and local else name

    return dataclasses.replace(config, sam2=absolute(config.sam2), text=absolute(config.text))


def load_audio_encoder(encoder: AudioEncoder, model: str) -> None:
    """Load the weights of another model's audio encoder.

    Raises:
        UnavailableError: the model is missing.
        ConfigError: its audio encoder has another shape.
    """
    try:
        encoder.load_state_dict(_weights(model, AUDIO_ENCODER))
    except RuntimeError as error:
        raise ConfigError(f"audio_from {model}: another audio encoder ({str(error).splitlines()[-1]})") from error


def image_backbone_weights(model: str) -> dict[str, torch.Tensor]:
    """Read the weights of timm's backbone from the SAM 2 of a model; empty if it has another kind of backbone.

    Raises:
        UnavailableError: the model is missing.
    """
    folder = download.resolve(model)
    state = load_weights(download.fetch_sam2(ModelConfig.load(folder).sam2, folder))
    return {name.removeprefix(SAM2_BACKBONE): value for name, value in state.items() if name.startswith(SAM2_BACKBONE)}


def load_fuser(network: AuralNetwork, model: str) -> None:
    """Load the fuser of another model; a missing text projection is initialised randomly.

    A fuser with fewer levels takes the first levels, one without text leaves out the text projection.

    Raises:
        UnavailableError: the model is missing.
        ConfigError: its fuser has another shape.
    """
    own, levels = network.fuser.state_dict(), network.fuser.config.levels
    text = {name: value for name, value in own.items() if name.startswith(TEXT_PROJECTION)}
    weights, fewer = _weights(model, FUSER), levels < ModelConfig.load(download.resolve(model)).fuser.levels
    weights = {
        name: value[:levels] if name in GAINS else value
        for name, value in weights.items()
        if name in own or not (fewer or name.startswith(TEXT_PROJECTION))
    }
    try:
        network.fuser.load_state_dict(text | weights)
    except RuntimeError as error:
        raise ConfigError(f"fuser_from {model}: another fuser ({str(error).splitlines()[-1]})") from error


def _weights(model: str, part: str) -> dict[str, torch.Tensor]:
    """Return the tensors of a part of a model, without its prefix."""
    state = load_weights(download.resolve(model))
    return {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)}
