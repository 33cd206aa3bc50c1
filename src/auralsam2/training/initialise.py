"""From a recipe to a network with its first weights."""

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
from auralsam2.modeling.extensions import ChannelStandardizer
from auralsam2.modeling.image_encoder import encode_pyramid
from auralsam2.modeling.network import AudioVisualNetwork, AuralNetwork
from auralsam2.training.recipe import TrainingRecipe
from auralsam2.utils.weights import load_weights

HEARING, FUSER, WORDS = "audio_encoder.", "fuser.", "text_proj."
FAINT = 0.1
"""First gain of prompts beside a drawn mask."""


def build_network(recipe: TrainingRecipe) -> AudioVisualNetwork:
    """Load the frozen parts and make the others from the seed.

    Raises:
        AuralError: a part is not here, or does not fit.
    """
    made = assemble_model(resolve_paths(recipe.model), seed=recipe.trainer.seed)
    if recipe.audio_from is not None:
        load_audio_encoder(made, recipe.audio_from)
    if recipe.fuser_from is not None and isinstance(made, AuralNetwork):
        load_fuser(made, recipe.fuser_from)
    return made


@torch.no_grad()
def calibrate_fuser(made: AuralNetwork, pixels: torch.Tensor, log_mel: torch.Tensor) -> None:
    """Measure what a fuser that standardises reads, and set the first gains of its prompts.

    The prompts that are added to the image itself, at the decoder's first step, get the deviation of that image:
    smaller ones would be lost in it. Where the fuser draws a mask, all prompts begin faint instead: the mask says what
    is meant, and they are to refine it.

    Args:
        made: with first weights.
        pixels: (N, 3, S, S) float, normalised, some pictures of the training.
        log_mel: (M, 2, 96, 64), some seconds of its sound.
    """
    fuser, maps = made.fuser, encode_pyramid(made.sam2, pixels).maps
    for standard, level in zip(fuser.map_standards, maps, strict=False):
        cast(ChannelStandardizer, standard).measure(level)
    fuser.token_standard.measure(made.audio_encoder(log_mel))
    if made.config.extensions.predict_coarse_mask:
        fuser.visual_gains.fill_(FAINT)
        fuser.audio_gains.fill_(FAINT)
    else:
        first = len(fuser.visual_gains) - 1 if made.config.prompting.coarse_first else 0
        fuser.visual_gains[first] = maps[-1].std()


@torch.no_grad()
def calibrate_audio_input(made: AdapterNetwork, log_mel: torch.Tensor) -> None:
    """Measure what a baseline that standardises hears.

    Args:
        made: with first weights.
        log_mel: (M, 2, 96, 64), some seconds of the training's sound.
    """
    audio_input = made.adapters.audio_input
    if audio_input.standard is not None:
        audio_input.standard.measure(audio_input.select(made.audio_encoder(log_mel)))


def resolve_paths(config: ModelConfig) -> ModelConfig:
    """Make the folders absolute, so that a saved model works from any directory; names of models stay names."""

    def whole(name: str | None) -> str | None:
        is_folder = name is not None and name not in REGISTRY and Path(name).is_dir()
        return str(Path(name).resolve()) if name is not None and is_folder else name

    return dataclasses.replace(config, sam2=whole(config.sam2), text=whole(config.text))


def load_audio_encoder(made: AudioVisualNetwork, model: str) -> None:
    """Take the encoder of sound of another model.

    Raises:
        UnavailableError: it is not here.
        ConfigError: it has another shape.
    """
    try:
        made.audio_encoder.load_state_dict(_weights(model, HEARING))
    except RuntimeError as error:
        raise ConfigError(f"audio_from {model}: another encoder of sound ({str(error).splitlines()[-1]})") from error


def load_fuser(made: AuralNetwork, model: str) -> None:
    """Take the fuser of another model. It may lack the way in for words: then that starts anew.

    Raises:
        UnavailableError: it is not here.
        ConfigError: it has another shape.
    """
    own = {name: value for name, value in made.fuser.state_dict().items() if name.startswith(WORDS)}
    try:
        made.fuser.load_state_dict(own | _weights(model, FUSER))
    except RuntimeError as error:
        raise ConfigError(f"fuser_from {model}: another fuser ({str(error).splitlines()[-1]})") from error


def _weights(model: str, part: str) -> dict[str, torch.Tensor]:
    """The tensors of a part of a model, without its name."""
    state = load_weights(download.resolve(model))
    return {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)}
