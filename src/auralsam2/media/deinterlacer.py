"""Deinterlacing of decoded pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import av.error
from av.filter import Graph

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Timed = tuple[float | None, "VideoFrame"]
_BASE = Fraction(1, 1000)


class Deinterlacer:
    """FFmpeg's filter `bwdif` on the pictures that are flagged as interlaced, one picture out for each one in.

    Pictures before the first interlaced one pass without delay; from there on they are one picture late.

    Args:
        note: receives a sentence at the first interlaced picture.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._active = False
        self._graph: Graph | None = None
        self._key: tuple[int, int, str] | None = None
        self._waiting: dict[int, tuple[float | None, int | None, int, Fraction | None]] = {}
        self._count = 0

    def pictures(self, moments: Iterable[Timed]) -> Iterator[Timed]:
        """Yield (time, picture) of all pictures, in the same order."""
        for moment, picture in moments:
            if picture.interlaced_frame and not self._active:
                self._active = True
                self._note("interlaced pictures deinterlaced")
            key = (picture.width, picture.height, picture.format.name)
            if self._graph is not None and key != self._key:
                yield from self._flush()
            if not self._active:
                yield moment, picture
                continue
            if self._graph is None:
                self._graph, self._key = _graph(*key), key
            self._waiting[self._count] = (moment, picture.pts, picture.duration, picture.time_base)
            picture.time_base, picture.pts = _BASE, self._count
            self._count += 1
            self._graph.vpush(picture)
            yield from self._pull(self._graph)
        yield from self._flush()

    def _flush(self) -> Iterator[Timed]:
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._pull(self._graph)
            self._graph = None

    def _pull(self, graph: Graph) -> Iterator[Timed]:
        while True:
            try:
                picture = graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            number = round((picture.pts or 0) * (picture.time_base or _BASE) / _BASE)
            moment, picture.pts, picture.duration, picture.time_base = self._waiting.pop(number)
            yield moment, picture


def _graph(width: int, height: int, layout: str) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat(layout), time_base=_BASE)
    graph.link_nodes(
        source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")
    ).configure()
    return graph
