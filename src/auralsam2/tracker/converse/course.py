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

    def stream(self, tracks: Sequence[Track], first: int) -> Iterator[Segmentation]:
        """All frames in the order of time, each for the last time: what is kept of it is dropped.

        Those before the start are found backward from there, and given out when all of them are known: a memory that
        came to the prompt from afar would have lost the object on the way.

        Args:
            tracks: none of them empty.
            first: index of the frame at which to start.

        Raises:
            UsageError: the session was closed meanwhile.
        """
        if not self._film.has(first):
            return
        begin = self._clip(tracks, first).start
        results = [self._follower.follow(track, range(first - 1, -1, -1), reverse=True) for track in tracks]
        end = begin
        for index in range(first - 1, -1, -1):
            self._film.check_open()
            for track, result in zip(tracks, results, strict=True):
                self._display.put(track, index, next(result))
            done = self._clip(tracks, index).stop
            # What is audible there stays: it is told with the mask.
            self._film.forget(range(done, end), "features", "picture", "prompts")
            end = min(end, done)
        gone = 0
        for index in range(first):
            self._film.check_open()
            for track in tracks:
                found = self._display.shown(track, index) or self._follower.at(track, index)
                yield self._display.show(track, index, found)
            self._film.forget(range(gone, min(index, begin)))
            gone = max(gone, min(index, begin))
        for shown in self.run(tracks, first, reverse=False):
            yield shown
            begin = self._clip(tracks, shown.index).start
            self._film.forget(range(gone, begin))
            gone = max(gone, begin)

    def _clip(self, tracks: Sequence[Track], index: int) -> range:
        """The frames that the fuser needs for one; the frame alone where it has nothing to tell."""
        if not any(track.fuses for track in tracks):
            return range(index, index + 1)
        moments = self._film.window(index).moments
        return range(moments[0].index, moments[-1].index + 1)
