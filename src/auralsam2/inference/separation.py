"""Separation of sounding sources: components of the mask of all sounding objects, joined to tracks over time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage, optimize

from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.modeling.object_namer import pool_features
from auralsam2.utils.mask_geometry import connected_components

MIN_SOURCE_AREA = 0.002
"""Smallest area of a component, as a share of the frame."""
MIN_OVERLAP = 0.2
"""Smallest IoU of a component with the latest mask of a track that joins them by position."""
MIN_SIMILARITY = 0.75
"""Smallest cosine similarity of appearances that joins a component to a track elsewhere in the frame."""
PART = 0.5
"""Share of a track's latest mask, or of a component, that makes the one a part of the other."""
START = 0.25
"""Smallest area of a component that starts a source at once, as a share of the frame's mask; ragged masks have smaller
components beside the object."""
START_FRAMES = 3
"""Number of successive frames after which a smaller one is a source."""
_MOMENTUM = 0.8

Describe = Callable[[np.ndarray], torch.Tensor]
"""Returns the appearance of a mask (H, W), a vector."""


def describe_mask(features: FrameFeatures, mask: np.ndarray) -> torch.Tensor:
    """Return the appearance of a mask (H, W): the mean of the stride-16 features over it, (C,).

    On frames of StampAVS the cosine similarity of this vector tells parts of one object from other objects better than
    that of the whole vector that the namer reads.
    """
    width = features.embedding.shape[1]
    return pool_features(features, torch.from_numpy(mask)[None])[0, :width]


@dataclass(slots=True)
class _Track:
    """A source, or a component that may become one.

    Attributes:
        number: of the object, from 1; None until the track is a source.
        mask: (H, W) bool, its latest mask.
        appearance: vector of norm 1, a running mean; None without a description.
        frames: number of frames with the track.
    """

    number: int | None
    mask: np.ndarray
    appearance: torch.Tensor | None
    frames: int = 0


class SourceSeparator:
    """Joins the components of successive frames to tracks, one for each source that can be told apart.

    A component joins the track whose latest mask it overlaps; without overlap, for instance after a silence, that of
    the most similar appearance. A component that covers several sources is divided between them by the nearest latest
    mask. Components that are parts of one track's latest mask stay together. All others start tracks. A track is a
    source at once if its component is a good part of the frame's mask, otherwise after some successive frames. The
    state is one mask and one vector for each source and for each other component of the latest frame.

    Args:
        min_area: smallest area of a component, as a share of the frame.
    """

    def __init__(self, min_area: float = MIN_SOURCE_AREA) -> None:
        self._min_area = min_area
        self._tracks: list[_Track] = []

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of all sources so far, from 1."""
        return tuple(range(1, 1 + sum(track.number is not None for track in self._tracks)))

    def assign(self, mask: np.ndarray, describe: Describe | None = None) -> dict[int, np.ndarray]:
        """Divide the mask of a frame between the sources.

        Args:
            mask: (H, W) bool, of all sounding objects; all frames have one size.
            describe: returns the appearance of a mask on this frame; None joins by overlap alone.

        Returns:
            disjoint masks (H, W) bool of the sources that sound on this frame, by number.
        """
        components = connected_components(mask, max(1, round(self._min_area * mask.size)))
        pieces = [piece for component in components for piece in self._divide(component)]
        appearances = [None if describe is None else _unit(describe(piece)) for piece in pieces]
        matched = dict(self._match(pieces, appearances))
        found = {column: pieces[row] for row, column in matched.items()}
        known = len(self._tracks)
        for row, (piece, appearance) in enumerate(zip(pieces, appearances, strict=True)):
            if row in matched:
                continue
            whole = [
                column
                for column in found
                if column < known and (piece & self._tracks[column].mask).sum() >= PART * piece.sum()
            ]
            if whole:
                found[whole[0]] = found[whole[0]] | piece
            else:
                found[len(self._tracks)] = piece
                self._tracks.append(_Track(None, piece, appearance))
        least = START * mask.sum()
        for column, piece in found.items():
            track = self._tracks[column]
            self._update(track, piece, describe)
            if track.number is None and (piece.sum() >= least or track.frames >= START_FRAMES):
                track.number = len(self.numbers) + 1
        numbered = [(self._tracks[column].number, piece) for column, piece in found.items()]
        self._tracks = [
            track for column, track in enumerate(self._tracks) if track.number is not None or column in found
        ]
        return dict(sorted((number, piece) for number, piece in numbered if number is not None))

    def _divide(self, component: np.ndarray) -> list[np.ndarray]:
        """Divide a component that covers several sources, each pixel to the one with the nearest latest mask."""
        sources = [track.mask for track in self._tracks if track.number is not None]
        covered = [mask for mask in sources if (component & mask).sum() >= PART * mask.sum()]
        if len(covered) < 2:
            return [component]
        distances = np.array([ndimage.distance_transform_edt(~mask) for mask in covered])
        nearest = distances.argmin(0)
        pieces = [component & (nearest == number) for number in range(len(covered))]
        return [piece for piece in pieces if piece.any()]

    def _match(self, pieces: list[np.ndarray], appearances: list[torch.Tensor | None]) -> list[tuple[int, int]]:
        """Match pieces to tracks so that the sum of scores is largest; overlap counts more than appearance."""
        scores = np.zeros((len(pieces), len(self._tracks)))
        for row, (piece, appearance) in enumerate(zip(pieces, appearances, strict=True)):
            for column, track in enumerate(self._tracks):
                overlap = (piece & track.mask).sum() / max(1, (piece | track.mask).sum())
                if overlap >= MIN_OVERLAP:
                    scores[row, column] = 1 + overlap
                elif appearance is not None and track.appearance is not None:
                    similarity = float(appearance @ track.appearance)
                    scores[row, column] = similarity if similarity >= MIN_SIMILARITY else 0.0
        rows, columns = optimize.linear_sum_assignment(scores, maximize=True)
        return [
            (row, column) for row, column in zip(rows.tolist(), columns.tolist(), strict=True) if scores[row, column]
        ]

    def _update(self, track: _Track, mask: np.ndarray, describe: Describe | None) -> None:
        track.mask = mask
        track.frames += 1
        if describe is not None:
            new = _unit(describe(mask))
            old = track.appearance
            track.appearance = new if old is None else _unit(_MOMENTUM * old + (1 - _MOMENTUM) * new)


def _unit(vector: torch.Tensor) -> torch.Tensor:
    vector = vector.float().flatten()
    return vector / vector.norm().clamp(min=1e-6)
