"""The clip of `golden/losses_metrics.npz`: labels, predictions and embeddings made by the number rule."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from helpers.rule_weights import tensor

FRAMES, MASKS, SIDE = 5, 3, 64
LEVELS, GRID, WIDTH = 3, 16, 128


def golden_labels() -> torch.Tensor:
    """(5, 64, 64) bool; the third frame has no object."""
    labels = torch.zeros(FRAMES, SIDE, SIDE, dtype=torch.bool)
    labels[0, 10:30, 12:40] = True
    labels[1, 5:50, 20:33] = True
    labels[3, 30:60, 30:60] = True
    labels[4, :8] = True
    return labels


def golden_truth(size: int) -> torch.Tensor:
    """The labels as (5, size, size) float, to the nearest pixel."""
    return F.interpolate(golden_labels()[:, None].float(), size=(size, size), mode="nearest")[:, 0]


def golden_masks() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits (5, 3, 64, 64), predicted IoUs (5, 3), object scores (5, 1)."""
    masks = torch.cat([2 * tensor(f"loss/masks{t}", (1, MASKS, SIDE, SIDE)) for t in range(FRAMES)])
    ious = torch.cat([tensor(f"loss/ious{t}", (1, MASKS)) for t in range(FRAMES)]).sigmoid()
    return masks, ious, torch.cat([tensor(f"loss/obj{t}", (1, 1)) for t in range(FRAMES)])


def golden_prediction() -> torch.Tensor:
    """Logits (5, 64, 64) of the best masks."""
    return 2 * tensor("loss/pred_low", (FRAMES, 1, SIDE, SIDE))[:, 0]


def golden_embeddings() -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    """e_v, three levels of (5, 256, 128), and e_a, three levels of (5, 128)."""
    visual = [tensor(f"loss/visual_proj{k}", (FRAMES, WIDTH, GRID, GRID)) for k in range(LEVELS)]
    audio = [tensor(f"loss/audio_proj{k}", (FRAMES, WIDTH, 1)) for k in range(LEVELS)]
    return (
        tuple(F.normalize(level, dim=1).flatten(2).transpose(1, 2) for level in visual),
        tuple(F.normalize(level, dim=1)[..., 0] for level in audio),
    )
