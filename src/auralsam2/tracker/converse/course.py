"""The course of a propagation: several objects, frame by frame, in one direction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from auralsam2.tracker.converse.display import Display
from auralsam2.tracker.converse.film import Film
from auralsam2.tracker.converse.follower import Follower
from auralsam2.tracker.converse.track import Track
from auralsam2.types import Segmentation


class Course:
    """Goes through the film with all objects abreast.

    Args:
        film: the frames.
        follower: follows each object.
        display: gives the masks out.
    """

    def __init__(self, film: Film, follower: Follower, display: Display) -> None:
        self._film, self._follower, self._display = film, follower, display

    def start(self, tracks: Sequence[Track], *, reverse: bool) -> int:
        """The frame at which to start where the user names none."""
        if not reverse:
            return min(min(track.seeds, default=0) for track in tracks)
        if all(track.seeds for track in tracks):
            return max(max(track.seeds) for track in tracks)
        return self._film.last()

    def run(self, tracks: Sequence[Track], first: int, *, reverse: bool) -> Iterator[Segmentation]:
        """Frame by frame, the objects of a frame in the order of `tracks`.

        Args:
            tracks: none of them empty.
            first: index of the first frame.
            reverse: backward in time.

        Raises:
            UsageError: the session was closed meanwhile.
        """

        def indices() -> Iterator[int]:
            return iter(range(first, -1, -1)) if reverse else self._film.upward(first)

        results = [self._follower.follow(track, indices(), reverse=reverse) for track in tracks]
        for index in indices():
            self._film.check_open()
            for track, result in zip(tracks, results, strict=True):
                yield self._display.show(track, index, next(result))
