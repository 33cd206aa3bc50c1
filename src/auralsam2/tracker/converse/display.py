"""The masks on display: the last one given out of each frame, in the course of what was said of an object."""

from __future__ import annotations

import torch

from auralsam2.errors import UsageError
from auralsam2.network import AuralNetwork
from auralsam2.tracker.converse.film import Film
from auralsam2.tracker.converse.found import Found
from auralsam2.tracker.converse.kept import Kept
from auralsam2.tracker.converse.sounds import Sounds
from auralsam2.tracker.converse.track import Track
from auralsam2.tracker.result import segmentation
from auralsam2.types import Segmentation

_STRIDE = 4
"""Pixels of the model's square for each pixel of a mask."""


class Display:
    """Gives masks out, and knows which ones.

    Args:
        network: tells the size of its square.
        film: the frames.
        sounds: know whether something is audible.
        kept: owned by the caller; holds what is on display.
    """

    def __init__(self, network: AuralNetwork, film: Film, sounds: Sounds, kept: Kept) -> None:
        self._size = network.image_size
        self._film, self._sounds, self._kept = film, sounds, kept

    def show(self, track: Track, index: int, found: Found) -> Segmentation:
        """Make a mask the newest of its frame, and return it at the size of the video.

        Raises:
            UsageError: the mask has another size than those of the decoder.
        """
        if found.low.shape != (self._size // _STRIDE, self._size // _STRIDE):
            raise UsageError(
                f"a mask of {tuple(found.low.shape)}: this model's masks have {self._size // _STRIDE} rows and columns"
            )
        self.put(track, index, found)
        return segmentation(
            index,
            self._film.time(index),
            self._film.picture(index),
            found.logits(self._size).cpu(),
            iou=found.iou,
            object_score=found.object_score,
            audible=self._sounds.audible(track.said, index),
            number=track.number,
        )

    def put(self, track: Track, index: int, found: Found) -> None:
        """Put a mask on display, as the newest of its frame in this state of the track."""
        scores = torch.tensor([found.iou, found.object_score], dtype=torch.float64)
        self._kept.put(("display", track.number, track.versions[0], index), {"low": found.low, "scores": scores})

    def shown(self, track: Track, index: int) -> Found | None:
        """The newest mask that was given out of a frame in the course of a track; None where there is none any more."""
        for version in track.versions:
            kept = self._kept.get(("display", track.number, version, index))
            if kept is not None:
                iou, object_score = kept["scores"].tolist()
                return Found(kept["low"], iou, object_score)
        return None
