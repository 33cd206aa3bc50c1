"""Preprocessing of images and masks for the image encoder."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


def to_square(image: np.ndarray, size: int) -> torch.Tensor:
    """Resize (H, W, 3) uint8 to (3, S, S), bicubic with anti-aliasing, as in the released evaluation.

    The aspect ratio is lost.
    """
    square = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).contiguous()


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """Normalise (..., 3, S, S) uint8 by the mean and standard deviation of ImageNet, as float32."""
    mean = torch.tensor(MEAN, device=pixels.device)[:, None, None]
    deviation = torch.tensor(DEVIATION, device=pixels.device)[:, None, None]
    return (pixels.float() / 255.0 - mean) / deviation


def label_to_square(label: np.ndarray, size: int) -> torch.Tensor:
    """Resize a mask (H, W) uint8 to (S, S) bool by nearest neighbour; values above 0 are the object."""
    square = Image.fromarray(label).resize((size, size), Image.Resampling.NEAREST)
    return torch.from_numpy(np.array(square) > 0)


def mask_to_square(mask: torch.Tensor, size: int) -> torch.Tensor:
    """Resize a mask prompt (H, W) bool to S × S: bilinear with anti-aliasing, then at least one half, as SAM 2 does."""
    if mask.shape == (size, size):
        return mask
    values = mask.float()[None, None]
    return F.interpolate(values, (size, size), mode="bilinear", align_corners=False, antialias=True)[0, 0] >= 0.5
