"""Visual prompts from the ground truth, as a user would give them in the first frame with a target."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch

from auralsam2.modeling.preprocess import mask_to_square
from auralsam2.modeling.prompt_encoder import POSITIVE, VisualPrompts
from auralsam2.utils.mask_geometry import interior_point


def first_target(labels: torch.Tensor, supervised: torch.Tensor) -> int | None:
    """Find the first supervised frame with a target; None if there is none.

    Args:
        labels: (T, H, W) bool.
        supervised: (T,) bool.
    """
    frames = (labels.flatten(1).any(1) & supervised.to(labels.device)).nonzero()
    return int(frames[0, 0]) if len(frames) else None


def simulate_prompts(
    label: torch.Tensor, kinds: Collection[str], size: int, *, points: int | None = None, seed: Sequence[int] = (0,)
) -> VisualPrompts:
    """Make prompts for the target of one frame.

    Args:
        label: (H, H) bool, not empty.
        kinds: of "points", "box" and "mask".
        size: S, side of the model's square.
        points: number of points, drawn uniformly from the pixels of the target, without repetition if it has as many;
            None for its interior point.
        seed: of the points.
    """
    scale = size / label.shape[0]
    clicks = torch.zeros(0, 2)
    if "points" in kinds and points is None:
        row, column = interior_point(label.cpu().numpy())
        clicks = torch.tensor([[(column + 0.5) * scale, (row + 0.5) * scale]])
    elif "points" in kinds and points is not None:
        pixels = label.cpu().nonzero()
        drawn = np.random.default_rng(seed).choice(len(pixels), points, replace=len(pixels) < points)
        clicks = (pixels[torch.from_numpy(drawn)].flip(1).float() + 0.5) * scale
    box = mask = None
    if "box" in kinds:
        rows, columns = label.nonzero(as_tuple=True)
        corners = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        box = corners.float() * scale
    if "mask" in kinds:
        mask = mask_to_square(label, size)
    return VisualPrompts(clicks, torch.full((len(clicks),), POSITIVE, dtype=torch.int32), box, mask)
