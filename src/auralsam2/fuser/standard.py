"""Numbers of any size brought to a mean of 0 and a deviation of 1."""

from __future__ import annotations

import torch
from torch import nn

FAINTEST = 1e-3
"""Channels that deviate less say nothing: they are centred and left at that."""


class Standard(nn.Module):
    """(x − mean) / deviation of each channel, by numbers that are measured once and then stay.

    Folded into the weights of the next layer, such factors would make them tens of times smaller than what the steps of
    Adam are made for: what is learnt there jumps about.

    Args:
        width: channels.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    @torch.no_grad()
    def measure(self, values: torch.Tensor) -> None:
        """Take the numbers from (N, width, ...), a sample of what is to come."""
        channels = values.float().transpose(0, 1).flatten(1)
        deviation = channels.std(1)
        self.mean.copy_(channels.mean(1))
        self.deviation.copy_(torch.where(deviation > FAINTEST, deviation, 1.0))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(N, width, ...) to the same shape."""
        shape = (-1, *[1] * (values.dim() - 2))
        return (values - self.mean.view(shape)) / self.deviation.view(shape)
