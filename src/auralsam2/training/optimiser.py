"""AdamW, its parameter groups and learning-rate schedules (paper, supplement 6.1)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from auralsam2.modeling.network import AudioVisualNetwork
from auralsam2.training.config import OptimiserConfig

POWER = 0.9
"""Exponent of the polynomial decay."""
NORMALISATIONS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)


def poly(step: int, steps: int, power: float = POWER) -> float:
    """Return the factor on the learning rate, (1 − step / steps)^power; 0 from the last step on."""
    return max(0.0, 1 - step / steps) ** power


def warm_cosine(step: int, *, rate: float, warm_up: int, steps: int) -> float:
    """Return the learning rate of a step: a linear rise to `rate` over `warm_up` steps times a cosine decay to 0."""
    rise = min(1.0, (step + 1) / max(1, warm_up))
    return rate * rise * 0.5 * (1 + math.cos(math.pi * step / steps))


def build_optimiser(network: AudioVisualNetwork, config: OptimiserConfig) -> torch.optim.AdamW:
    """Build AdamW for the fuser or the adapters, and for the audio encoder unless its rate is 0, which freezes it."""
    network.audio_encoder.requires_grad_(config.audio_encoder_rate > 0)
    return torch.optim.AdamW(parameter_groups(network, config))


def build_schedule(optimiser: torch.optim.Optimizer, steps: int, config: OptimiserConfig) -> LambdaLR:
    """Build the schedule of all groups, after a linear warm-up.

    Args:
        optimiser: with its initial learning rates.
        steps: of the whole training; step the scheduler once after each.
        config: schedule and length of the warm-up.
    """
    rise = max(1, config.warm_up)
    last = config.final_rate / config.rate if config.rate else 0.0

    def factor(step: int) -> float:
        if config.schedule == "constant":
            return 1.0
        if config.schedule == "cosine":
            return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
        return poly(step, steps)

    return LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / rise) * factor(step))


def parameter_groups(network: AudioVisualNetwork, config: OptimiserConfig) -> list[dict[str, Any]]:
    """Split the trained parameters into groups with and without weight decay.

    Parameters of normalisation layers do not decay; biases of other layers do, as released.

    Returns:
        groups `fuser`, or the parts of a baseline, and `audio_encoder` unless frozen, each with a group
        `… normalisation` if it has such parameters; keys `name`, `params`, `lr`, `weight_decay`.
    """
    groups = []
    for name, module, factor in (
        *((name, part, 1.0) for name, part in network.trained_modules.items()),
        ("audio_encoder", network.audio_encoder, config.audio_encoder_rate),
    ):
        undecayed = [
            parameter
            for part in module.modules()
            if isinstance(part, NORMALISATIONS)
            for parameter in part.parameters(recurse=False)
        ]
        excluded = set(undecayed)
        decaying = [parameter for parameter in module.parameters() if parameter not in excluded]
        for label, parameters, decay in (
            (name, decaying, config.weight_decay),
            (f"{name} normalisation", undecayed, 0.0),
        ):
            if parameters and factor > 0:
                groups.append({"name": label, "params": parameters, "lr": factor * config.rate, "weight_decay": decay})
    return groups
