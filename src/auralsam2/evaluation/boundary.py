"""Boundary F of masks, as the DAVIS benchmark defines it: contours that meet within a small radius."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from auralsam2.evaluation.binary import count

RADIUS = 0.008
"""Share of the picture's diagonal within which two contour pixels meet."""


def boundary_f(masks: torch.Tensor, labels: torch.Tensor, radius: int | None = None) -> torch.Tensor:
    """F of the contours of each frame: harmonic mean of the shares of either contour that lie near the other.

    Args:
        masks: (N, H, W) bool.
        labels: (N, H, W) bool.
        radius: in pixels; None for 0.008 of the diagonal, rounded up.

    Returns:
        (N,) float64 in [0, 1]; 1 where both are without contour, 0 where one is.
    """
    if radius is None:
        radius = math.ceil(RADIUS * math.hypot(*masks.shape[1:]))
    found, true = _cropped(contours(masks), contours(labels))
    near_true, near_found = _met(found, true, radius), _met(true, found, radius)
    found_pixels, true_pixels = count(found), count(true)
    precision, recall = near_true / found_pixels, near_found / true_pixels
    score = torch.nan_to_num(2 * precision * recall / (precision + recall), nan=0.0)
    return torch.where(found_pixels + true_pixels == 0, 1.0, score)


def contours(masks: torch.Tensor) -> torch.Tensor:
    """Pixels that differ from their neighbour on the right, below, or right below; (N, H, W) bool."""
    edges = torch.zeros_like(masks)
    edges[:, :, :-1] |= masks[:, :, :-1] ^ masks[:, :, 1:]
    edges[:, :-1] |= masks[:, :-1] ^ masks[:, 1:]
    edges[:, :-1, :-1] |= masks[:, :-1, :-1] ^ masks[:, 1:, 1:]
    return edges


def _cropped(found: torch.Tensor, true: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The part of both in which any contour lies: the rest costs time and tells nothing."""
    drawn = (found | true).any(0)
    rows, columns = drawn.any(1).nonzero()[:, 0], drawn.any(0).nonzero()[:, 0]
    if not len(rows):
        return found[:, :1, :1], true[:, :1, :1]
    part = (slice(None), slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    return found[part], true[part]


def _met(contour: torch.Tensor, other: torch.Tensor, radius: int) -> torch.Tensor:
    """(N,) float64: pixels of one contour within the radius of the other's.

    A disc is a stack of rows: with the distance to the other's nearest pixel in the same row known everywhere, each
    pixel of the contour asks 2 · radius + 1 rows.
    """
    frame, row, column = contour.nonzero(as_tuple=True)
    distance = F.pad(_row_distance(other), (0, 0, radius, radius), value=float(contour.shape[2]))
    near = torch.zeros_like(row, dtype=torch.bool)
    for step in range(-radius, radius + 1):
        reach = math.isqrt(radius * radius - step * step)
        near |= distance[frame, row + radius + step, column] <= reach
    return torch.bincount(frame[near], minlength=len(contour)).double()


def _row_distance(pixels: torch.Tensor) -> torch.Tensor:
    """(N, H, W) float32: steps along the row to the nearest pixel that is set; the width where there is none."""
    width = pixels.shape[2]
    place = torch.arange(width, device=pixels.device, dtype=torch.float32)
    left = torch.where(pixels, place, -float(width)).cummax(2).values
    right = torch.where(pixels, place, 2.0 * width).flip(2).cummin(2).values.flip(2)
    return torch.minimum(place - left, right - place).clamp(max=width)
