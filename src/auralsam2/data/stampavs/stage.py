"""What a scene shows at any moment: stamps on their ways before a background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from auralsam2.data.stampavs.layout import Paths
from auralsam2.data.stampavs.paint import Cutout, compose


@dataclass(frozen=True, kw_only=True)
class Stage:
    """All that is seen of a scene.

    Attributes:
        ground: (S, S, 3) uint8, the background.
        cutouts: n stamps, from the furthest to the nearest.
        paths: of each; its greatest extent is the one that the stamp was prepared for.
    """

    ground: np.ndarray
    cutouts: tuple[Cutout, ...]
    paths: tuple[Paths, ...]

    def at(self, frame: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The picture of a frame, or between two.

        Args:
            frame: number, from 0. Poses change evenly from one frame to the next and stay before the first and after
                the last.

        Returns:
            (S, S, 3) uint8; the visible pixels of each stamp, (n, S, S) bool; how many each would show alone, (n,) int.
        """
        largest = [float(path.extent.max()) for path in self.paths]
        return compose(self.ground, self.cutouts, [path.pose(frame) for path in self.paths], largest)
