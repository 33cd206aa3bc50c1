"""From a recipe to a network with its first weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from auralsam2 import hub
from auralsam2.config import WEIGHTS_FILE, ModelConfig
from auralsam2.errors import ConfigError, UnavailableError
from auralsam2.network import AuralNetwork
from auralsam2.text.encoder import TextEncoder
from auralsam2.training.recipe import Recipe
from auralsam2.vision.sam2 import load_sam2

HEARING = "audio_encoder."


def network(recipe: Recipe) -> AuralNetwork:
    """Load the frozen parts and make the others from the seed.

    Raises:
        AuralError: a part is not here, or does not fit.
    """
    config = here(recipe.model)
    sam2 = load_sam2(hub.fetch_sam2(config.sam2), config.image_size)
    text = TextEncoder(hub.fetch_text(config.text)) if config.text is not None else None
    torch.manual_seed(recipe.trainer.seed)
    made = AuralNetwork(config, sam2, text)
    with torch.no_grad():
        for module, gain in zip(made.fuser.fusion_modules, recipe.visual_gains, strict=True):
            module.norm_layer.weight.mul_(gain)
    if recipe.audio_from is not None:
        hear(made, recipe.audio_from)
    return made


def here(config: ModelConfig) -> ModelConfig:
    """The same with whole paths for folders: a saved model is used from anywhere."""

    def whole(name: str | None) -> str | None:
        return str(Path(name).resolve()) if name is not None and Path(name).is_dir() else name

    return dataclasses.replace(config, sam2=whole(config.sam2), text=whole(config.text))


def hear(made: AuralNetwork, model: str) -> None:
    """Take the encoder of sound of another model.

    Raises:
        UnavailableError: it is not here.
        ConfigError: it has another shape.
    """
    path = hub.resolve(model) / WEIGHTS_FILE
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UnavailableError(f"{path}: cannot be read ({error})") from error
    hearing = {name.removeprefix(HEARING): value for name, value in state.items() if name.startswith(HEARING)}
    try:
        made.audio_encoder.load_state_dict(hearing)
    except RuntimeError as error:
        raise ConfigError(f"audio_from {model}: another encoder of sound ({str(error).splitlines()[-1]})") from error
