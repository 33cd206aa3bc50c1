"""A monologue: all that the user says of a video comes first, then one object is followed through it once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from auralsam2.clock import Clock
from auralsam2.network import AuralNetwork
from auralsam2.tracker.converse.conversation import SOUNDING, Conversation
from auralsam2.tracker.result import SILENT, SILENT_SO_FAR
from auralsam2.tracker.source import Source
from auralsam2.types import Prompts, Segmentation


class Monologue:
    """Segments one video by what the user points at, and by sound and words beside; iterate once.

    A conversation that forgets what lies behind. Each frame is encoded once. Masks of frames before the first prompted
    one are found before any is given out; nothing else grows with the length of the video.

    Args:
        network: in evaluation mode.
        source: the video; what sounds is heard with the rest.
        prompts: visual ones, and maybe text.
        compute: makes the context in which the network runs, for instance autocast.
        clock: counts seconds per stage.

    Attributes:
        warnings: notes for the user, complete after the last frame.
    """

    def __init__(
        self,
        network: AuralNetwork,
        source: Source,
        prompts: Prompts,
        compute: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
        clock: Clock | None = None,
    ) -> None:
        self.warnings: list[str] = []
        self._network, self._source, self._prompts = network, source, prompts
        self._compute, self._clock = compute, clock

    def __iter__(self) -> Iterator[Segmentation]:
        """The processed frames, in the order of time, those before the first prompted one too.

        Raises:
            UsageError: two boxes, or two masks, fall on one frame.
            InputError: a file is damaged beyond use, or a mask cannot be used.
            OutputError: no space for encoded frames.
        """
        with Conversation(self._network, self._source, self._compute, clock=self._clock) as session:
            heard_all = False
            try:
                if self._source.sound is not None:
                    session.hear()
                session.add(self._prompts, SOUNDING)
                yield from session.stream()
                heard_all = True
            finally:
                self.warnings += [SILENT if heard_all and note == SILENT_SO_FAR else note for note in session.warnings]
