"""Prompts for training: clicks, boxes and masks, drawn from the true masks with the errors a hand makes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from transformers import Sam2VideoModel

from auralsam2.decoder.visual import NEGATIVE, PADDING, POSITIVE, PromptEmbeddings

CORNERS = (2, 3)
"""Labels of a box's corners; for the prompt encoder a box is two points of a kind of their own."""
SMALLEST = 30
"""Visible pixels from which an object is prompted."""
ABSENT = 255
"""Number of an object that is in no picture: what a prompt for nothing asks for."""
NOTHING = 0.15
"""Share of the masks that are empty, so that the decoder learns to say that nothing is there."""
JITTER = 0.08
"""Greatest error of a box's edge, in widths and heights of the box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """B prompts with as many tokens each.

    Attributes:
        frames: (B,) int, which frame each belongs to.
        objects: (B,) int, number of the object in its frame's owner map, from 1; `ABSENT` for none.
        points: (B, n, 2) float, x, y in pixels.
        labels: (B, n) int: 1, 0, -1 for none, 2 and 3 for the corners of a box.
        masks: (B, 1, S/4, S/4) float, ±10, or zeros.
        masked: (B,) bool, whether the mask is given.
    """

    frames: torch.Tensor
    objects: torch.Tensor
    points: torch.Tensor
    labels: torch.Tensor
    masks: torch.Tensor
    masked: torch.Tensor

    def embed(self, sam2: Sam2VideoModel) -> PromptEmbeddings:
        """Embed them: sparse (B, 1, n + 1, C), the last token "no more points", and dense (B, C, h, w)."""
        encoder = sam2.prompt_encoder
        sparse, without = encoder(self.points[:, None], self.labels[:, None], None, None)
        if not self.masked.any():
            return PromptEmbeddings(sparse, without)
        dense = torch.where(self.masked[:, None, None, None], encoder.mask_embed(self.masks), without)
        return PromptEmbeddings(sparse, dense)


def draw(owners: np.ndarray, count: int, kind: str, rng: np.random.Generator) -> Drawn | None:
    """Draw prompts for objects of each frame, different ones as far as there are.

    Args:
        owners: (N, S, S) uint8, which object shows at each pixel, 0 for none.
        count: prompts a frame.
        kind: "single": one click, or a mask in a quarter of all cases; "double": a box, or two clicks in three of ten.
        rng: draws everything.

    Returns:
        None if no object of any frame is large enough.
    """
    rows: list[tuple[int, int, np.ndarray, list[int], np.ndarray | None]] = []
    for frame, owner in enumerate(owners):
        numbers = np.flatnonzero(np.bincount(owner.ravel(), minlength=2)[1:] >= SMALLEST) + 1
        if len(numbers):
            order = rng.permutation(numbers)
            for place in range(count):
                number = int(order[place % len(order)])
                shape = owner == number
                points, labels, mask = (_single if kind == "single" else _double)(shape, rng)
                # The blunt brush can miss all of a thin object.
                if mask is not None and (rng.random() < NOTHING or not mask.any()):
                    number, mask = ABSENT, np.zeros_like(shape)
                rows.append((frame, number, points, labels, mask))
    if not rows:
        return None
    frames, objects, points, labels, masks = zip(*rows, strict=True)
    quarter = owners.shape[1] // 4
    given = torch.zeros(len(rows), 1, quarter, quarter)
    for place, mask in enumerate(masks):
        if mask is not None:
            soft = F.interpolate(torch.from_numpy(mask)[None, None].float(), size=(quarter, quarter), mode="area")
            given[place] = soft[0] * 20.0 - 10.0
    return Drawn(
        frames=torch.tensor(frames),
        objects=torch.tensor(objects),
        points=torch.from_numpy(np.stack(points)).float(),
        labels=torch.tensor(labels),
        masks=given,
        masked=torch.tensor([mask is not None for mask in masks]),
    )


def _single(shape: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[int], np.ndarray | None]:
    """One click, or a mask."""
    if rng.random() < 0.25:
        return np.zeros((1, 2)), [PADDING], _rough(shape, rng)
    return _inside(shape, rng)[None], [POSITIVE], None


def _double(shape: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[int], np.ndarray | None]:
    """A box, or two clicks of which the second may say where the object is not."""
    if rng.random() < 0.7:
        return _around(shape, rng), list(CORNERS), None
    second = bool(rng.random() < 0.5) or shape.all()
    other = _inside(shape if second else ~shape, rng)
    return np.stack([_inside(shape, rng), other]), [POSITIVE, POSITIVE if second else NEGATIVE], None


def _inside(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """x, y of a random pixel."""
    rows, columns = np.nonzero(shape)
    place = int(rng.integers(len(rows)))
    return np.array([columns[place], rows[place]], dtype=np.float64)


def box(shape: np.ndarray) -> np.ndarray:
    """Corners of a mask: x and y of the first and of the last pixel, (2, 2) float."""
    rows, columns = (np.flatnonzero(shape.any(axis)) for axis in (1, 0))
    return np.array([[columns[0], rows[0]], [columns[-1], rows[-1]]], dtype=np.float64)


def _around(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    corners = box(shape)
    sides = corners[1] - corners[0] + 1
    return np.clip(corners + rng.uniform(-JITTER, JITTER, (2, 2)) * sides, 0, len(shape) - 1)


def _rough(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The mask, in half of all cases drawn with a blunt brush of about S / 50 pixels."""
    if rng.random() < 0.5:
        return shape
    cells = len(shape) // 24 * 6
    coarse = F.interpolate(torch.from_numpy(shape)[None, None].float(), size=(cells, cells), mode="area")
    blunt = F.interpolate((coarse > rng.uniform(0.3, 0.7)).float(), size=shape.shape, mode="nearest")
    return blunt[0, 0].numpy() > 0.5
