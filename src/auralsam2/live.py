"""Segmentation of a live source: masks while it runs, with a stated latency."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Self

from auralsam2.errors import UsageError
from auralsam2.inference.live_source import LiveSource
from auralsam2.inference.streaming import VideoStream
from auralsam2.model_context import LoadedModel, inference_context, streaming_network
from auralsam2.types import MediaInfo, Prompts, Segmentation
from auralsam2.utils.timing import StageTimer


class LiveSegmentation:
    """The segmented frames of a live source; iterate once. `AuralSAM2.live` returns it.

    Memory does not grow with the length of the source. The end of the iteration, or of a `with` block, closes the
    source.

    Args:
        model: AuralSAM2, not a baseline.
        source: already being read.
        prompts: text beside the audio of the source.

    Attributes:
        latency: seconds from the instant of the latest yielded frame to its mask. It is at most the length of a window,
            or the latency that was asked for, and the time of computation.

    Raises:
        UsageError: the model is a baseline, or there is nothing to look for.
    """

    def __init__(self, model: LoadedModel, source: LiveSource, prompts: Prompts) -> None:
        self.source = source
        self.latency = 0.0
        self.clock = StageTimer()
        self._started = False
        self._stream = VideoStream(
            streaming_network(model), source, prompts, partial(inference_context, model), self.clock
        )

    @property
    def info(self) -> MediaInfo:
        """Properties of the source."""
        return self.source.info

    @property
    def dropped(self) -> int:
        """Number of frames dropped so far, because the model is slower than the source."""
        return self.source.capture.dropped

    @property
    def warnings(self) -> list[str]:
        """Notes for the user, complete after the last frame."""
        return self._stream.warnings

    def stop(self) -> None:
        """End the source; the masks of the frames that were read follow. May be called from a signal handler."""
        self.source.capture.stop()

    def close(self) -> None:
        """Close the source."""
        self.source.capture.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Segmentation]:
        """Yield the processed frames in the order of time, each as soon as its window is segmented.

        Raises:
            UsageError: the frames were iterated before.
            InputError: the source failed.
        """
        if self._started:
            raise UsageError(f"{self.info.name}: the frames can be read once: call live again")
        self._started = True
        return self._frames()

    def _frames(self) -> Iterator[Segmentation]:
        try:
            for segmentation in self._stream:
                self.latency = self.source.capture.latency(segmentation.index)
                yield segmentation
        finally:
            self.close()
