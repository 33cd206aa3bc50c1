"""Visual prompts made of the truth: what a user would point at in the first frame that has a target."""

from __future__ import annotations

from collections.abc import Collection

import torch
import torch.nn.functional as F

from auralsam2.modeling.prompt_encoder import POSITIVE, VisualPrompts


def first_target(labels: torch.Tensor, supervised: torch.Tensor) -> int | None:
    """The first supervised frame with a target; None where there is none.

    Args:
        labels: (T, H, W) bool.
        supervised: (T,) bool.
    """
    found = (labels.flatten(1).any(1) & supervised.to(labels.device)).nonzero()
    return int(found[0, 0]) if len(found) else None


def simulate_prompts(label: torch.Tensor, kinds: Collection[str], size: int) -> VisualPrompts:
    """Point at the target of one frame.

    Args:
        label: (H, H) bool, not empty.
        kinds: of points (one, the innermost pixel), box and mask.
        size: S, side of the model's square.
    """
    scale = size / label.shape[0]
    points = torch.zeros(0, 2)
    if "points" in kinds:
        row, column = innermost_pixel(label)
        points = torch.tensor([[(column + 0.5) * scale, (row + 0.5) * scale]])
    box = mask = None
    if "box" in kinds:
        rows, columns = label.nonzero(as_tuple=True)
        corners = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        box = corners.float() * scale
    if "mask" in kinds:
        mask = F.interpolate(label[None, None].float(), size=(size, size), mode="nearest-exact")[0, 0] > 0
    return VisualPrompts(points, torch.full((len(points),), POSITIVE, dtype=torch.int32), box, mask)


def innermost_pixel(label: torch.Tensor) -> tuple[int, int]:
    """Row and column of the pixel farthest from the mask's border, in king's moves; the picture's edge is border too.

    Of several, the one nearest to their middle; of several of these, the first in reading order.

    Args:
        label: (H, W) bool, not empty.
    """
    rows, columns = label.nonzero(as_tuple=True)
    top, side = int(rows.min()), int(columns.min())
    left = label[None, None, top : int(rows.max()) + 1, side : int(columns.max()) + 1].float()
    while True:
        # A pixel stays if it and its eight neighbours are set.
        less = -F.max_pool2d(-F.pad(left, (1, 1, 1, 1)), 3, stride=1)
        if not less.any():
            break
        left = less
    places = left[0, 0].nonzero()
    middle = places.double().mean(0)
    best = int(((places - middle) ** 2).sum(1).argmin())
    return top + int(places[best, 0]), side + int(places[best, 1])
