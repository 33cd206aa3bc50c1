"""Preprocessing of images and masks for the image encoder."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


def to_square(image: np.ndarray, size: int) -> torch.Tensor:
    """Resize to S × S, bicubic with anti-aliasing, without keeping the aspect ratio, as in the released evaluation.

    Args:
        image: (H, W, 3) uint8 RGB.
        size: S.

    Returns:
        (3, S, S) uint8.
    """
    square = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).contiguous()


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """Normalise by the mean and standard deviation of ImageNet.

    Args:
        pixels: (..., 3, S, S) uint8.

    Returns:
        float32 of the same shape.
    """
    mean = torch.tensor(MEAN, device=pixels.device)[:, None, None]
    deviation = torch.tensor(DEVIATION, device=pixels.device)[:, None, None]
    return (pixels.float() / 255.0 - mean) / deviation


def label_to_square(label: np.ndarray, size: int) -> torch.Tensor:
    """Resize a mask to S × S by nearest neighbour; values above 0 are the object.

    Args:
        label: (H, W) uint8.
        size: S.

    Returns:
        (S, S) bool.
    """
    square = Image.fromarray(label).resize((size, size), Image.Resampling.NEAREST)
    return torch.from_numpy(np.array(square) > 0)


def mask_to_square(mask: torch.Tensor, size: int) -> torch.Tensor:
    """Resize the mask of a prompt to S × S: bilinear with anti-aliasing, then at least one half, as SAM 2 does.

    Args:
        mask: (H, W) bool.
        size: S.

    Returns:
        (S, S) bool.
    """
    if mask.shape == (size, size):
        return mask
    values = mask.float()[None, None]
    return F.interpolate(values, (size, size), mode="bilinear", align_corners=False, antialias=True)[0, 0] >= 0.5
