"""Visual prompts from the ground truth, as a user would give them in the first frame with a target."""

from __future__ import annotations

from collections.abc import Collection

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


def simulate_prompts(label: torch.Tensor, kinds: Collection[str], size: int) -> VisualPrompts:
    """Make prompts for the target of one frame.

    Args:
        label: (H, H) bool, not empty.
        kinds: of "points" (one, the interior point), "box" and "mask".
        size: S, side of the model's square.
    """
    scale = size / label.shape[0]
    points = torch.zeros(0, 2)
    if "points" in kinds:
        row, column = interior_point(label.cpu().numpy())
        points = torch.tensor([[(column + 0.5) * scale, (row + 0.5) * scale]])
    box = mask = None
    if "box" in kinds:
        rows, columns = label.nonzero(as_tuple=True)
        corners = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        box = corners.float() * scale
    if "mask" in kinds:
        mask = mask_to_square(label, size)
    return VisualPrompts(points, torch.full((len(points),), POSITIVE, dtype=torch.int32), box, mask)
