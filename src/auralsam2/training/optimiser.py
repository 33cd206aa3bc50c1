"""What is trained, at which rate, and how the rate falls (paper, supplement 6.1)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from auralsam2.modeling.network import AudioVisualNetwork
from auralsam2.training.config import OptimiserConfig

NORMALISATIONS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)


def poly(step: int, steps: int, power: float) -> float:
    """(1 − step / steps)^power, the factor on the learning rate; 0 from the last step on."""
    return max(0.0, 1 - step / steps) ** power


def warm_cosine(step: int, *, rate: float, warm_up: int, steps: int) -> float:
    """The learning rate of a step where it rises straight to `rate` over `warm_up` steps and falls to 0 as a cosine."""
    rise = min(1.0, (step + 1) / max(1, warm_up))
    return rate * rise * 0.5 * (1 + math.cos(math.pi * step / steps))


def build_optimiser(network: AudioVisualNetwork, config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW on the fuser, or what a baseline has instead, and on the encoder of sound, unless it is frozen.

    Whether the latter learns is set here.
    """
    network.audio_encoder.requires_grad_(config.audio_encoder_rate > 0)
    return torch.optim.AdamW(parameter_groups(network, config), betas=config.betas)


def build_schedule(optimiser: torch.optim.Optimizer, steps: int, config: OptimiserConfig) -> LambdaLR:
    """The polynomial decay of all groups.

    Args:
        optimiser: with its first learning rates.
        steps: of the whole training; the scheduler is to be stepped once after each.
        config: the power, and over how many steps the rate rises first.
    """
    rise = max(1, config.warm_up)
    return LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / rise) * poly(step, steps, config.power))


def parameter_groups(network: AudioVisualNetwork, config: OptimiserConfig) -> list[dict[str, Any]]:
    """The parameters that learn, as groups of an optimiser.

    Parameters of normalisation layers do not decay; biases of other layers do, as released.

    Returns:
        `fuser`, or the parts of a baseline, and `audio_encoder` (left out if it is frozen), each as it decays and, if
        it has such parameters, as `… normalisation` without decay; keys `name`, `params`, `lr`, `weight_decay`.
    """
    groups = []
    for name, module, factor in (
        *((name, part, 1.0) for name, part in network.trained_modules.items()),
        ("audio_encoder", network.audio_encoder, config.audio_encoder_rate),
    ):
        still = [
            parameter
            for part in module.modules()
            if isinstance(part, NORMALISATIONS)
            for parameter in part.parameters(recurse=False)
        ]
        known = set(still)
        decaying = [parameter for parameter in module.parameters() if parameter not in known]
        for label, parameters, decay in ((name, decaying, config.weight_decay), (f"{name} normalisation", still, 0.0)):
            if parameters and factor > 0:
                groups.append({"name": label, "params": parameters, "lr": factor * config.rate, "weight_decay": decay})
    return groups
