"""A session: one video on its way through the model by its sound or by words, from file to masks, in bounded memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import torch

from auralsam2.errors import UsageError
from auralsam2.inference.audio_examples import AudioExamples
from auralsam2.inference.clip import new_tracker
from auralsam2.inference.feature_cache import DEFAULT_LIMIT, StreamCache
from auralsam2.inference.results import SILENT, SILENT_SO_FAR, damage_notes, make_segmentation
from auralsam2.inference.tracker import ObjectTracker, TrackedFrame, processing_order
from auralsam2.inference.video_session import SOUNDING, VideoSession
from auralsam2.inference.video_source import VideoSource
from auralsam2.inference.windows import FrameTime, Window, slot_length, slot_of, windows
from auralsam2.media.frame_reader import FrameReader
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.preprocess import normalise, to_square
from auralsam2.types import Frame, Prompts, Segmentation
from auralsam2.utils.background import Prefetcher
from auralsam2.utils.timing import StageTimer

SMALL_IMAGE, SMALL_BATCH = 512, 8
"""Images up to this size go through the encoder in batches of so many."""


class FeatureStream:
    """Segments one video by what sounds in it, or by words; iterate once.

    Args:
        network: in evaluation mode.
        source: the video.
        text: an expression, for networks that read; None for what sounds.
        compute: makes the context in which the network runs, for instance autocast.
        clock: counts seconds per stage.
        memory: bytes of encoded frames to keep in memory; more lies in a temporary file.

    Attributes:
        warnings: notes for the user, complete after the last frame.

    Raises:
        UsageError: there is neither sound nor text.
    """

    def __init__(
        self,
        network: AuralNetwork,
        source: VideoSource,
        text: str | None = None,
        compute: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
        clock: StageTimer | None = None,
        memory: int = DEFAULT_LIMIT,
    ) -> None:
        if source.sound is None and text is None:
            raise UsageError(f"{source.info.path}: nothing to look for: give sound, text, points, boxes or masks")
        self.network, self.source, self.text = network, source, text
        self.clock = clock or StageTimer()
        self.warnings: list[str] = []
        self._autocast = compute
        self._memory = memory
        self._hears = source.sound is not None
        self._length = slot_length(source.fps)

    def __iter__(self) -> Iterator[Segmentation]:
        """The processed frames, in the order of time.

        Raises:
            InputError: a file is damaged beyond use.
            OutputError: no space for encoded frames.
        """
        source = self.source
        with (
            FrameReader(source.info.path, fps=source.fps, start=source.start, end=source.end) as reader,
            contextlib.closing(AudioExamples(source.sound, source.start, source.audio_track)) as hearing,
        ):
            try:
                with StreamCache(self._memory) as kept, Prefetcher(self._read(reader)) as frames:
                    with self._network("encoder"):
                        text = self.network.encode_text(self.text)
                    for window in windows(self._encode(frames, kept), self.network.config.clip.frames):
                        yield from self._segment(window, hearing, kept, text)
                        kept.forget_before(window.moments[0].index)
                        hearing.forget_before(window.moments[0].index)
            finally:
                self.warnings += [*damage_notes(reader.damage, hearing.damage), *reader.notes, *source.notes]
        if self._hears and not hearing.any_audible:
            self.warnings.append(SILENT)

    @contextlib.contextmanager
    def _network(self, stage: str) -> Iterator[None]:
        """Around calls of the network; never around a `yield` to the caller, whose code runs in its own mode."""
        with self.clock.stage(stage), torch.inference_mode(), self._autocast():
            yield

    def _read(self, reader: FrameReader) -> Iterator[tuple[Frame, torch.Tensor | None]]:
        """Yield frames with their squares, None for the square of a picture that the frame before shows too.

        Runs in the thread that reads ahead.
        """
        shown: float | None = None
        while True:
            with self.clock.stage("decode"):
                frame = next(reader, None)
                if frame is None:
                    return
                square = None if frame.time == shown else to_square(frame.image, self.network.image_size)
                shown = frame.time
            yield frame, square

    def _encode(self, frames: Prefetcher[tuple[Frame, torch.Tensor | None]], kept: StreamCache) -> Iterator[FrameTime]:
        """Encode each picture once, in small batches; keep the features and yield the moments."""
        size = SMALL_BATCH if self.network.image_size <= SMALL_IMAGE else 1
        items = iter(frames)
        while batch := [item for _, item in zip(range(size), items, strict=False)]:
            squares = [square for _, square in batch if square is not None]
            encoded: Iterator[FrameFeatures] = iter(())
            if squares:
                with self._network("encoder"):
                    pixels = normalise(torch.stack(squares).to(self.network.device))
                    encoded = iter(self.network.encode(pixels))
            for frame, square in batch:
                kept.add(frame, None if square is None else next(encoded))
                yield FrameTime(frame.index, frame.instant, slot_of(frame.instant, self.source.start, self._length))

    def _segment(
        self, window: Window, hearing: AudioExamples, kept: StreamCache, text: torch.Tensor | None
    ) -> Iterator[Segmentation]:
        """Fuse the clips of a window, track through its frames, give out the new ones."""
        audible = self._fuse(window, hearing, kept, text)
        for moment, tracked in self._track(window, kept):
            if moment.index >= window.first_new:
                yield self._result(moment.index, tracked, audible[moment.index], kept)

    def _fuse(
        self, window: Window, hearing: AudioExamples, kept: StreamCache, text: torch.Tensor | None
    ) -> dict[int, bool]:
        """Keep the feature prompts of each frame; returns whether anything sounds there, by frame index."""
        audible: dict[int, bool] = {}
        for clip in window.clips():
            with self.clock.stage("decode"):
                heard = [hearing.example(moment, window, self._length) for moment in clip]
            frames = tuple(kept.features(moment.index) for moment in clip)
            with self._network("fuser"):
                log_mel = torch.stack([example.log_mel for example in heard]).to(self.network.device)
                prompts = self.network.prompts(frames, log_mel, text)
            for t, moment in enumerate(clip):
                if moment.index not in audible:
                    audible[moment.index] = heard[t].audible
                    kept.add_prompts(moment.index, prompts.frame(t))
        return audible

    def _track(self, window: Window, kept: StreamCache) -> Iterator[tuple[FrameTime, TrackedFrame]]:
        """A window as a clip of its own, given out in the order of time; it starts afresh, as a clip in training."""
        conditioning = self.network.config.clip.conditioning
        tracker = new_tracker(self.network, len(window.moments), self.clock)
        order = processing_order(len(window.moments), conditioning)
        early: dict[int, TrackedFrame] = {}
        due = 0
        for t in order:
            first = t == order[0] or conditioning == "each"
            early[t] = self._step(tracker, t, window.moments[t].index, kept, conditioning=first)
            while due in early:
                yield window.moments[due], early.pop(due)
                due += 1

    def _step(
        self, tracker: ObjectTracker, t: int, index: int, kept: StreamCache, *, conditioning: bool
    ) -> TrackedFrame:
        features, prompts = kept.features(index), kept.take_prompts(index)
        # The tracker counts its own stages.
        with torch.inference_mode(), self._autocast():
            return tracker.step(t, features, prompts, conditioning=conditioning)

    def _result(self, index: int, tracked: TrackedFrame, audible: bool, kept: StreamCache) -> Segmentation:
        """Masks at the size of the source."""
        return make_segmentation(
            index,
            kept.time(index),
            kept.take_picture(index),
            tracked.logits.cpu(),
            iou=tracked.iou,
            object_score=tracked.object_score,
            audible=audible or not self._hears,
        )


class PromptedStream:
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
        source: VideoSource,
        prompts: Prompts,
        compute: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
        clock: StageTimer | None = None,
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
        with VideoSession(self._network, self._source, self._compute, clock=self._clock) as session:
            heard_all = False
            try:
                if self._source.sound is not None:
                    session.hear()
                session.add(self._prompts, SOUNDING)
                yield from session.stream()
                heard_all = True
            finally:
                self.warnings += [SILENT if heard_all and note == SILENT_SO_FAR else note for note in session.warnings]
