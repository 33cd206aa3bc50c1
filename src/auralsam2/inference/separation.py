"""Separation of sounding sources: components of the mask of all sounding objects, joined to tracks over time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage, optimize

from auralsam2.utils.mask_geometry import connected_components

MIN_SOURCE_AREA = 0.002
"""Smallest area of a source, as a share of the frame."""
MIN_OVERLAP = 0.2
"""Smallest IoU of a component with the latest mask of a track that joins them by position."""
MIN_SIMILARITY = 0.9
"""Smallest cosine similarity of appearances that joins a component to a track elsewhere in the frame."""
PART = 0.5
"""Share of a track's latest mask, or of a component, that makes the one a part of the other."""
_MOMENTUM = 0.8

Describe = Callable[[np.ndarray], torch.Tensor]
"""Returns the appearance of a mask (H, W), a vector."""


@dataclass(slots=True)
class _Track:
    """A source.

    Attributes:
        number: of the object, from 1.
        mask: (H, W) bool, its latest mask.
        appearance: vector of norm 1, a running mean; None without a description.
    """

    number: int
    mask: np.ndarray
    appearance: torch.Tensor | None


class SourceSeparator:
    """Joins the components of successive frames to tracks, one for each source that can be told apart.

    A component joins the track whose latest mask it overlaps; without overlap, for instance after a silence, that of
    the most similar appearance. A component that covers several tracks is divided between them by the nearest latest
    mask. Components that are parts of one track's latest mask stay together. All others start tracks. The state is one
    mask and one vector for each track, whatever the length of the video.

    Args:
        min_area: smallest area of a new source, as a share of the frame.
    """

    def __init__(self, min_area: float = MIN_SOURCE_AREA) -> None:
        self._min_area = min_area
        self._tracks: list[_Track] = []

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of all sources so far, from 1."""
        return tuple(track.number for track in self._tracks)

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
        found: dict[int, np.ndarray] = {}
        for row, column in self._match(pieces, appearances):
            track = self._tracks[column]
            found[track.number] = pieces[row]
            pieces[row] = np.zeros(0, bool)
        latest = {track.number: track.mask for track in self._tracks}
        for piece, appearance in zip(pieces, appearances, strict=True):
            if not piece.size:
                continue
            whole = [
                number for number in found if number in latest and (piece & latest[number]).sum() >= PART * piece.sum()
            ]
            if whole:
                found[whole[0]] = found[whole[0]] | piece
                continue
            track = _Track(len(self._tracks) + 1, piece, appearance)
            self._tracks.append(track)
            found[track.number] = piece
        for track in self._tracks:
            if track.number in found:
                self._update(track, found[track.number], describe)
        return dict(sorted(found.items()))

    def _divide(self, component: np.ndarray) -> list[np.ndarray]:
        """Divide a component that covers several tracks, each pixel to the track with the nearest latest mask."""
        covered = [track.mask for track in self._tracks if (component & track.mask).sum() >= PART * track.mask.sum()]
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
        if describe is not None:
            new = _unit(describe(mask))
            old = track.appearance
            track.appearance = new if old is None else _unit(_MOMENTUM * old + (1 - _MOMENTUM) * new)


def _unit(vector: torch.Tensor) -> torch.Tensor:
    vector = vector.float().flatten()
    return vector / vector.norm().clamp(min=1e-6)
