"""A session: one video on its way through the model, from file to masks, in bounded memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import torch

from auralsam2.clock import Clock
from auralsam2.config import Conditioning
from auralsam2.decoder.visual import VisualPrompts
from auralsam2.errors import UsageError
from auralsam2.media.reader import FrameReader
from auralsam2.network import AuralNetwork
from auralsam2.tracker.ahead import ReadAhead
from auralsam2.tracker.encoded import EncodedFrames
from auralsam2.tracker.guidance import Guidance
from auralsam2.tracker.hearing import Hearing
from auralsam2.tracker.result import damage_notes, segmentation
from auralsam2.tracker.source import Source
from auralsam2.tracker.tracker import Tracked, Tracker, processing_order
from auralsam2.tracker.windows import Moment, Window, slot_length, slot_of, windows
from auralsam2.types import Frame, Prompts, Segmentation
from auralsam2.vision.preprocess import normalise, to_square

NOTHING = -10.0
"""Logit and object score of a frame for which nobody asked anything yet; what SAM 2 writes for an empty mask."""
SMALL_IMAGE, SMALL_BATCH = 512, 8
"""Images up to this size go through the encoder in batches of so many."""


class Session:
    """Segments one video; iterate once.

    Args:
        network: in evaluation mode.
        source: the video.
        prompts: what the user says beside the sound.
        compute: makes the context in which the network runs, for instance autocast.
        clock: counts seconds per stage.

    Attributes:
        warnings: notes for the user, complete after the last frame.

    Raises:
        InputError: a mask among the prompts cannot be used.
    """

    def __init__(
        self,
        network: AuralNetwork,
        source: Source,
        prompts: Prompts,
        compute: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
        clock: Clock | None = None,
    ) -> None:
        self.network, self.source, self.prompts = network, source, prompts
        self.clock = clock or Clock()
        self.warnings: list[str] = []
        self._autocast = compute
        self._hears = source.sound is not None
        self._fuses = self._hears or prompts.text is not None
        self._length = slot_length(source.fps)
        self._guidance = Guidance(prompts, source.info.width, source.info.height, network.image_size)
        self._prompted: Tracker | None = None
        self._begun = False

    def __iter__(self) -> Iterator[Segmentation]:
        """The processed frames, in the order of time.

        Raises:
            UsageError: this is the second time; the prompts were handed out in the first.
            InputError: a file is damaged beyond use.
            OutputError: no space for encoded frames.
        """
        source = self.source
        if self._begun:
            raise UsageError(f"{source.info.path}: the frames can be read once: call segment again")
        self._begun = True
        with (
            FrameReader(source.info.path, fps=source.fps, start=source.start, end=source.end) as reader,
            contextlib.closing(Hearing(source.sound, source.start)) as hearing,
        ):
            try:
                with EncodedFrames() as kept, ReadAhead(self._read(reader)) as frames:
                    text = self._text_features()
                    for window in windows(self._encode(frames, kept), self.network.config.clip.frames):
                        yield from self._segment(window, hearing, kept, text)
                        kept.forget_before(window.moments[0].index)
                        hearing.forget_before(window.moments[0].index)
            finally:
                self.warnings += damage_notes(reader.damage, hearing.damage)
        if self._hears and not hearing.heard_something:
            self.warnings.append("the sound track is silent")

    @contextlib.contextmanager
    def _network(self, stage: str) -> Iterator[None]:
        """Around calls of the network; never around a `yield` to the caller, whose code runs in its own mode."""
        with self.clock.stage(stage), torch.inference_mode(), self._autocast():
            yield

    def _read(self, reader: FrameReader) -> Iterator[tuple[Frame, torch.Tensor]]:
        """Frames with their squares, decoded in the thread that reads ahead."""
        while True:
            with self.clock.stage("decode"):
                frame = next(reader, None)
                if frame is None:
                    return
                square = to_square(frame.image, self.network.image_size)
            yield frame, square

    def _encode(self, frames: ReadAhead[tuple[Frame, torch.Tensor]], kept: EncodedFrames) -> Iterator[Moment]:
        """The one pass of the encoder, in small batches: keep what it makes, yield the moments."""
        size = SMALL_BATCH if self.network.image_size <= SMALL_IMAGE else 1
        items = iter(frames)
        while batch := [item for _, item in zip(range(size), items, strict=False)]:
            with self._network("encoder"):
                pixels = normalise(torch.stack([square for _, square in batch]).to(self.network.device))
                encoded = self.network.encode(pixels, listen=self._fuses)
            for (frame, _), features in zip(batch, encoded, strict=True):
                kept.add(frame, features)
                yield Moment(frame.index, frame.instant, slot_of(frame.instant, self.source.start, self._length))

    def _text_features(self) -> torch.Tensor | None:
        if not self._fuses:
            return None
        with self._network("encoder"):
            return self.network.read(self.prompts.text)

    def _segment(
        self, window: Window, hearing: Hearing, kept: EncodedFrames, text: torch.Tensor | None
    ) -> Iterator[Segmentation]:
        """Fuse the clips of a window, track through its frames, give out the new ones."""
        audible = self._fuse(window, hearing, kept, text) if self._fuses else {}
        for moment, tracked in self._track(window, kept):
            if moment.index >= window.first_new:
                yield self._result(moment.index, tracked, audible.get(moment.index, True), kept)

    def _fuse(
        self, window: Window, hearing: Hearing, kept: EncodedFrames, text: torch.Tensor | None
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

    def _track(self, window: Window, kept: EncodedFrames) -> Iterator[tuple[Moment, Tracked | None]]:
        """Frames of the window with their results in the order of time; None where nobody asked for anything yet.

        Without visual prompts each window starts afresh with its own conditioning frame, as a clip in training. From
        the first visual prompt on, prompted frames are the conditioning ones, and the memory goes on through all
        windows.
        """
        if not self._guidance.wanted:
            yield from self._track_afresh(window, self.network.config.clip.conditioning, kept)
            return
        new = [moment for moment in window.moments if moment.index >= window.first_new]
        # Instants, not the pictures' own times: a picture on display is meant at any moment until the next one.
        visual = self._guidance.take([(moment.index, moment.instant) for moment in new], window.until)
        own = self.network.config.clip.conditioning
        waiting = self._track_afresh(window, own if own == "each" else "first", kept)
        for moment in new:
            prompt = visual.get(moment.index)
            if prompt is not None and self._prompted is None:
                self._prompted = self.network.tracker(clock=self.clock)
            if self._prompted is not None:
                yield moment, self._step(self._prompted, moment.index, moment, kept, prompt, prompt is not None)
            elif self._fuses:
                yield next(found for found in waiting if found[0] == moment)
            else:
                yield moment, None

    def _track_afresh(
        self, window: Window, conditioning: Conditioning, kept: EncodedFrames
    ) -> Iterator[tuple[Moment, Tracked]]:
        """A window as a clip of its own, given out in the order of time."""
        tracker = self.network.tracker(len(window.moments), self.clock)
        order = processing_order(len(window.moments), conditioning)
        early: dict[int, Tracked] = {}
        due = 0
        for t in order:
            first = t == order[0] or conditioning == "each"
            early[t] = self._step(tracker, t, window.moments[t], kept, None, first)
            while due in early:
                yield window.moments[due], early.pop(due)
                due += 1

    def _step(
        self,
        tracker: Tracker,
        t: int,
        moment: Moment,
        kept: EncodedFrames,
        visual: VisualPrompts | None,
        conditioning: bool,
    ) -> Tracked:
        features = kept.features(moment.index)
        prompts = kept.take_prompts(moment.index) if self._fuses else None
        # The tracker counts its own stages.
        with torch.inference_mode(), self._autocast():
            return tracker.step(t, features, prompts, visual, conditioning=conditioning)

    def _result(self, index: int, tracked: Tracked | None, audible: bool, kept: EncodedFrames) -> Segmentation:
        """Masks at the size of the source."""
        size = self.network.image_size
        image = kept.take_picture(index)
        if tracked is None:
            logits, iou, score = torch.full((size, size), NOTHING), 0.0, NOTHING
        else:
            logits, iou, score = tracked.logits.cpu(), tracked.iou, tracked.object_score
        audible = audible or not self._hears
        return segmentation(index, kept.time(index), image, logits, iou=iou, object_score=score, audible=audible)
