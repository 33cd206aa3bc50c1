"""From a recipe to a network with its first weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from auralsam2 import hub
from auralsam2.config import WEIGHTS_FILE, ModelConfig
from auralsam2.errors import ConfigError, UnavailableError
from auralsam2.network import AuralNetwork
from auralsam2.text.encoder import TextEncoder
from auralsam2.training.recipe import Recipe
from auralsam2.vision.pyramid import encode
from auralsam2.vision.sam2 import load_sam2

HEARING = "audio_encoder."
FAINT = 0.1
"""Size of first prompts beside a drawn mask."""
FAINTEST = 1e-3
"""Least deviation of a channel that `fit` divides by."""


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
    if recipe.audio_from is not None:
        hear(made, recipe.audio_from)
    return made


@torch.no_grad()
def fit(made: AuralNetwork, pixels: torch.Tensor, log_mel: torch.Tensor) -> None:
    """Fit first weights to the size of what they read and prompt.

    The fuser's parts start for numbers of a deviation of about 1. Where frozen encoders make larger ones, its blocks
    add next to nothing to what they read, and its prompts are lost in what they are added to.

    1. Each level's patch embedding reads its map as if every channel had a mean of 0 and a deviation of 1.
    2. Each number of the tokens of sound is divided by its deviation, in the last layer of their encoder.
    3. The prompts that are added to the image itself, at the decoder's first step, get the deviation of that image. The
       level above, which reads them too, takes it out again. Where the fuser draws a mask, all prompts begin faint
       instead: the mask says what is meant, and they are to refine it; what reads them takes that out again too.

    Args:
        made: with first weights.
        pixels: (N, 3, S, S) float, normalised, some pictures of the training.
        log_mel: (M, 2, 96, 64), some seconds of its sound.
    """
    fuser, maps = made.fuser, encode(made.sam2, pixels).maps
    for embed, level in zip(fuser.patch_embeds, maps, strict=False):
        mean, deviation = level.mean((0, 2, 3)), level.std((0, 2, 3)).clamp(min=FAINTEST)
        _scale(embed, 1 / deviation[:, None, None])
        embed.get_parameter("bias").sub_((embed.get_parameter("weight") * mean[:, None, None]).sum((1, 2, 3)))
    # Left and right are two tokens of one layer. What it never says stays unsaid.
    size = made.audio_encoder(log_mel).unflatten(1, (2, -1)).flatten(0, 1).std(0)
    size = torch.where(size > FAINTEST, size, 1.0)
    last = made.audio_encoder.embeddings[-2]
    _scale(last, 1 / size[:, None])
    _scale(last, 1 / size, "bias")
    if made.config.fuser.draws:
        for module in fuser.fusion_modules:
            for norm in ("norm_layer", "norm_layer2"):
                _scale(module.get_submodule(norm), FAINT)
        for embed in fuser.patch_embeds[1:]:  # joins the faint prompts of the level below
            _scale(embed, FAINT, "weight", "bias")
        heads = [head.get_submodule("proj.0") for head in (fuser.train_proj_v1, fuser.train_proj_a1)]
        for reader in (*fuser.smooth_convs, *heads):
            _scale(reader, 1 / FAINT)
        return
    gain = maps[-1].std()
    first = len(fuser.fusion_modules) - 1 if made.config.prompting.coarse_first else 0
    _scale(fuser.fusion_modules[first].get_submodule("norm_layer"), gain)
    if first + 1 < len(fuser.patch_embeds):
        _scale(fuser.patch_embeds[first + 1], gain, "weight", "bias")
        _scale(fuser.smooth_convs[first], 1 / gain)


def _scale(part: nn.Module, factor: torch.Tensor | float, *names: str) -> None:
    """Multiply parameters of a layer in place, by default its weight."""
    for name in names or ("weight",):
        part.get_parameter(name).mul_(factor)


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
