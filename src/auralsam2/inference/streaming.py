"""One-pass segmentation of a video with prompts that are known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import torch

from auralsam2.errors import UsageError
from auralsam2.inference.feature_cache import DEFAULT_LIMIT, DISK_LIMIT
from auralsam2.inference.results import SILENT, SILENT_SO_FAR
from auralsam2.inference.sources import name_objects, separate_sources
from auralsam2.inference.video_session import SOUNDING, VideoSession
from auralsam2.inference.video_source import VideoSource
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.object_namer import ObjectNamer
from auralsam2.types import Prompts, Segmentation
from auralsam2.utils.timing import StageTimer

SMALL_IMAGE, SMALL_BATCH = 512, 8
"""Images of up to `SMALL_IMAGE` pixels are encoded in batches of `SMALL_BATCH`, larger ones one by one."""


class VideoStream:
    """Segments one or several objects of a video in a `VideoSession`; iterate once.

    Frames are decoded ahead in a background thread. Without visual prompts, they are encoded in batches as they are
    read, those of a live source one by one as they come. Memory does not grow with the length of the video, except for
    the masks of frames before the first frame with visual prompts.

    Args:
        network: in evaluation mode.
        source: the video; its audio, if any, is a prompt.
        prompts: text, points, boxes and masks. Object 0 is prompted by its own ones and the audio, and does not exist
            without either.
        compute: returns the context in which the network runs, without gradients.
        clock: counts seconds per stage.
        memory: limit of cached data in memory, in bytes.
        separate: yield each sounding source as an object of its own; see `sources.separate_sources`.
        namer: adds the categories of objects.

    Attributes:
        warnings: notes for the user, complete after the last frame.

    Raises:
        UsageError: there is neither audio nor another prompt.
    """

    def __init__(
        self,
        network: AuralNetwork,
        source: VideoSource,
        prompts: Prompts,
        compute: Callable[[], AbstractContextManager[object]] = torch.inference_mode,
        clock: StageTimer | None = None,
        *,
        memory: int = DEFAULT_LIMIT,
        separate: bool = False,
        namer: ObjectNamer | None = None,
    ) -> None:
        if separate and (source.sound is None or prompts != Prompts()):
            raise UsageError(
                f"{source.info.path}: `separate` tells sounding objects apart: give sound, and no text, points, boxes "
                "or masks"
            )
        if source.sound is None and prompts == Prompts():
            raise UsageError(f"{source.info.path}: nothing to look for: give sound, text, points, boxes or masks")
        self.warnings: list[str] = []
        self._network, self._source, self._prompts = network, source, prompts
        self._compute, self._clock, self._memory = compute, clock, memory
        self._separate, self._namer = separate, namer

    def __iter__(self) -> Iterator[Segmentation]:
        """Yield the processed frames in the order of time.

        Raises:
            UsageError: two boxes, or two masks, share a frame.
            InputError: a file is damaged beyond use, or a mask file cannot be read.
            OutputError: there is no disk space for cached data.
        """
        with self._open() as session:
            complete = False
            try:
                if self._source.sound is not None:
                    session.hear()
                if self._prompts.own != Prompts():
                    session.add(self._prompts.own, SOUNDING)
                for number, prompts in self._prompts.objects:
                    session.add(prompts, number)
                frames = session.stream()
                if self._separate:
                    frames = separate_sources(session, frames)
                if self._namer is not None:
                    frames = name_objects(session, frames, self._namer)
                yield from frames
                complete = True
            finally:
                self.warnings += [SILENT if complete and note == SILENT_SO_FAR else note for note in session.warnings]

    def _open(self) -> VideoSession:
        prompts = (self._prompts, *dict(self._prompts.objects).values())
        visual, live = any(one.visual for one in prompts), self._source.live
        batch = SMALL_BATCH if self._network.image_size <= SMALL_IMAGE and not live else 1
        return VideoSession(
            self._network,
            self._source,
            self._compute,
            memory=self._memory,
            # Masks before the first prompted frame accumulate; all other data is bounded by two windows.
            disk=DISK_LIMIT if visual else None,
            clock=self._clock,
            prefetch=not live,  # a live source is decoded in a thread of its own
            batch=None if visual else batch,
        )
