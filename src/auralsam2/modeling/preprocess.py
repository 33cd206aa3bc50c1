"""From a picture of any size to what the image encoder expects."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


def to_square(image: np.ndarray, size: int) -> torch.Tensor:
    """Resize to S × S, bicubic with anti-aliasing, ignoring the aspect ratio, as in the released evaluation.

    Args:
        image: (H, W, 3) uint8 RGB.
        size: S.

    Returns:
        (3, S, S) uint8.
    """
    square = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).contiguous()


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """ImageNet's mean and deviation.

    Args:
        pixels: (..., 3, S, S) uint8.

    Returns:
        the same shape, float32.
    """
    mean = torch.tensor(MEAN, device=pixels.device)[:, None, None]
    deviation = torch.tensor(DEVIATION, device=pixels.device)[:, None, None]
    return (pixels.float() / 255.0 - mean) / deviation


def label_to_square(label: np.ndarray, size: int) -> torch.Tensor:
    """A label at the model's size: nearest neighbour, any value above 0 is the object.

    Args:
        label: (H, W) uint8.
        size: S.

    Returns:
        (S, S) bool.
    """
    square = Image.fromarray(label).resize((size, size), Image.Resampling.NEAREST)
    return torch.from_numpy(np.array(square) > 0)
