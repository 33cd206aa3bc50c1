"""Convolutions of kernel 1 as matrix products, against the convolutions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from auralsam2.modeling.cross_fusion import ChannelMLP, pointwise


@pytest.mark.parametrize(("kind", "extent"), [(nn.Conv1d, (12,)), (nn.Conv2d, (3, 4)), (nn.Conv3d, (1, 12, 1))])
def test_pointwise_equals_the_convolution(kind: type[nn.Module], extent: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    conv = kind(8, 5, 1)
    volume = torch.randn(2, 8, *extent)
    expected = conv(volume).flatten(2).transpose(1, 2)
    torch.testing.assert_close(pointwise(conv, volume.flatten(2).transpose(1, 2)), expected)


def test_pointwise_gradient_equals_that_of_the_convolution() -> None:
    torch.manual_seed(0)
    mlp = ChannelMLP(6, 8)
    volume = torch.randn(2, 6, 10)
    torch.testing.assert_close(mlp(volume), nn.Sequential.forward(mlp, volume))
