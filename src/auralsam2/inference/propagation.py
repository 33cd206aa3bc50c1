"""The follower: finds an object on the frames where it is pointed at, and follows it from there in both directions."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Literal, get_args

import numpy as np
import torch

from auralsam2.inference.clip import new_tracker
from auralsam2.inference.feature_prompts import FeaturePromptProvider
from auralsam2.inference.frame_store import FrameStore
from auralsam2.inference.object_state import ConditioningFrame, MaskPrediction, Merge, ObjectState, merge_predictions
from auralsam2.inference.prompt_mapping import concat_prompts, is_negative_only, with_positive_anchor
from auralsam2.inference.results import LatestMasks
from auralsam2.inference.tracker import ObjectTracker, TrackedFrame, processing_order
from auralsam2.inference.windows import FrameTime, Window
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.prompt_encoder import VisualPrompts
from auralsam2.types import FeaturePrompts, Segmentation
from auralsam2.utils.mask_geometry import connected_components
from auralsam2.utils.timing import StageTimer

Combine = Literal["joint", "ensemble"]
COMBINES: tuple[Combine, ...] = get_args(Combine)


class Propagator:
    """Masks of tracks on frames.

    Args:
        network: decodes and remembers.
        film: the frames.
        sounds: the feature prompts.
        compute: makes the context in which the network runs.
        clock: counts seconds per stage.
        combine: what becomes of an object that is both heard (or named) and pointed at: `joint`, the decoder gets all
            prompts at once; `ensemble`, it is called twice, for the fuser's prompts and for those of the user, and the
            two masks are merged.
        rule: by which they are merged.
    """

    def __init__(
        self,
        network: AuralNetwork,
        film: FrameStore,
        sounds: FeaturePromptProvider,
        compute: Callable[[], AbstractContextManager[object]],
        clock: StageTimer,
        combine: Combine,
        rule: Merge,
    ) -> None:
        self.combine: Combine = combine
        self.rule: Merge = rule
        self._network, self._film, self._sounds = network, film, sounds
        self._compute, self._clock = compute, clock

    def plant(
        self, track: ObjectState, index: int, rounds: tuple[VisualPrompts, ...], corrects: torch.Tensor | None
    ) -> ConditioningFrame:
        """Find an object on a frame where the user points at it.

        Args:
            track: what is told of it beside.
            index: of the frame.
            rounds: one or more; all rounds that an earlier seed of this frame has answered are answered again.
            corrects: (4h, 4w) logits of the mask on display before the first round.
        """
        seed = self._answer(track, index, rounds[:1], corrects, corrects)
        for number in range(2, len(rounds) + 1):
            seed = self._answer(track, index, rounds[:number], corrects, seed.found.low)
        return seed

    def correct(self, track: ObjectState, index: int, visual: VisualPrompts) -> ConditioningFrame:
        """Answer one more round on a frame that has a seed."""
        seed = track.seeds[index]
        return self._answer(track, index, (*seed.rounds, visual), seed.corrects, seed.found.low)

    def replant(self, track: ObjectState) -> ObjectState:
        """All seeds of a track anew, after what the fuser is told of it has changed."""
        for index, seed in track.seeds.items():
            corrects = None
            if seed.corrects is not None and track.fuses:
                corrects = self.heard(track, index).low
            track = track.with_seed(index, self.plant(track, index, seed.rounds, corrects))
        return track

    def heard(self, track: ObjectState, index: int) -> MaskPrediction:
        """The mask of what the fuser is told alone, on one frame."""
        window = self._film.window(index)
        return next(self._within(track, window, [self._film.moment(index)]))

    def at(self, track: ObjectState, index: int) -> MaskPrediction:
        """The mask of an object on one frame, straight from its seeds, whatever lies between."""
        return next(self.follow(track, [index], reverse=False))

    def cut(self, track: ObjectState, index: int | None, least: int) -> tuple[int, list[np.ndarray]]:
        """The connected parts of an object's mask on one frame.

        Args:
            track: not empty.
            index: of the frame; None for the one with the most parts, for which all frames are looked at.
            least: pixels of the square that a part must have.

        Returns:
            (index, (S, S) bool masks, the largest first).
        """
        indices = self._film.upward(0) if index is None else iter([index])
        where, most = index or 0, list[np.ndarray]()
        here, there = itertools.tee(indices)
        for number, found in zip(here, self.follow(track, there, reverse=False), strict=True):
            these = connected_components(found.logits(self._network.image_size).cpu().numpy() > 0, least)
            if len(these) > len(most):
                where, most = number, these
        return where, most

    def follow(self, track: ObjectState, indices: Iterable[int], *, reverse: bool) -> Iterator[MaskPrediction]:
        """The masks of an object on successive frames.

        Args:
            track: not empty.
            indices: one after the other, ascending, or descending with `reverse`.
            reverse: backward in time.
        """
        if not track.seeds:
            yield from self._by_fuser(track, indices, reverse=reverse)
        elif self.combine == "joint" or not track.fuses:
            yield from self._by_memory(track, indices, reverse=reverse)
        else:
            first, second = itertools.tee(indices)
            heard = self._by_fuser(track, first, reverse=reverse)
            for one, other in zip(heard, self._by_memory(track, second, reverse=reverse), strict=True):
                yield merge_predictions(one, other, self.rule)

    def _by_fuser(self, track: ObjectState, indices: Iterable[int], *, reverse: bool) -> Iterator[MaskPrediction]:
        """By sound and words alone: each window afresh, as a clip in training."""
        window: Window | None = None
        results: Iterator[MaskPrediction] = iter(())
        for index in indices:
            found = self._film.window(index)
            if found != window:
                window = found
                wanted = [m for m in window.moments[:: -1 if reverse else 1] if m.index >= window.first_new]
                results = self._within(track, window, wanted[wanted.index(self._film.moment(index)) :])
            yield next(results)

    def _within(self, track: ObjectState, window: Window, wanted: list[FrameTime]) -> Iterator[MaskPrediction]:
        """Frames of a window in the wanted order, each as soon as it is known."""
        conditioning = self._network.config.clip.conditioning
        tracker = new_tracker(self._network, len(window.moments), self._clock)
        if conditioning == "each":
            for moment in wanted:
                yield MaskPrediction.of(self._step(tracker, track, moment.index, window=window, conditioning=True))
            return
        early: dict[int, MaskPrediction] = {}
        left = list(wanted)
        for number, t in enumerate(processing_order(len(window.moments), conditioning)):
            moment = window.moments[t]
            early[moment.index] = MaskPrediction.of(
                self._step(tracker, track, moment.index, t=t, window=window, conditioning=number == 0)
            )
            while left and left[0].index in early:
                yield early.pop(left.pop(0).index)

    def _by_memory(self, track: ObjectState, indices: Iterable[int], *, reverse: bool) -> Iterator[MaskPrediction]:
        """From the seeds by SAM 2's memory; time runs backward as forward, with negative numbers."""
        sign = -1 if reverse else 1
        tracker = new_tracker(self._network, timer=self._clock)
        for index, seed in sorted(track.seeds.items(), reverse=reverse):
            tracker.bank.add(sign * index, seed.remembered, conditioning=True)
        for index in indices:
            seed = track.seeds.get(index)
            yield (
                seed.found if seed is not None else MaskPrediction.of(self._step(tracker, track, index, t=sign * index))
            )

    def _answer(
        self,
        track: ObjectState,
        index: int,
        rounds: tuple[VisualPrompts, ...],
        corrects: torch.Tensor | None,
        before: torch.Tensor | None,
    ) -> ConditioningFrame:
        visual = dataclasses.replace(rounds[-1], logits=before)
        tracker = new_tracker(self._network, timer=self._clock)
        tracked = self._step(tracker, track, index, visual=visual, conditioning=True)
        return ConditioningFrame(rounds, corrects, MaskPrediction.of(tracked), tracked.remembered)

    def _step(
        self,
        tracker: ObjectTracker,
        track: ObjectState,
        index: int,
        *,
        t: int | None = None,
        window: Window | None = None,
        visual: VisualPrompts | None = None,
        conditioning: bool = False,
    ) -> TrackedFrame:
        """One frame. `window` tells that the fuser's prompts go alone, as part of that window."""
        features = self._film.features(index)
        prompts: FeaturePrompts | None = None
        if track.fuses and (window is not None or self.combine == "joint"):
            prompts = self._sounds.prompts(track.said, index, window)
        # The tracker counts its own stages.
        with torch.inference_mode(), self._compute():
            return tracker.step(index if t is None else t, features, prompts, visual, conditioning=conditioning)


class PromptApplier:
    """Makes seeds of visual prompts.

    Args:
        follower: finds objects by them.
        display: knows the masks that clicks correct.
        size: S.
    """

    def __init__(self, follower: Propagator, display: LatestMasks, size: int) -> None:
        self._follower, self._display, self._size = follower, display, size

    def sown(self, track: ObjectState, index: int, visual: VisualPrompts) -> ObjectState:
        """A track with one more round on a frame, or, with a box or a mask, the first."""
        seed = track.seeds.get(index)
        if visual.box is not None or visual.mask is not None:
            seed = self._follower.plant(track, index, (visual,), None)
        elif seed is not None:
            seed = self._follower.correct(track, index, concat_prompts(seed.rounds[-1], visual))
        else:
            shown = self._display.shown(track, index)
            corrects = None if shown is None else shown.low
            if corrects is None and is_negative_only(visual) and not track.empty:
                # Clicks that only take away need something to take from.
                corrects = self._follower.at(track, index).low
            if corrects is not None and is_negative_only(visual) and track.fuses:
                visual = with_positive_anchor(visual, corrects, self._size)
            seed = self._follower.plant(track, index, (visual,), corrects)
        return track.with_seed(index, seed)


class MultiObjectPropagation:
    """Goes through the film with all objects abreast.

    Args:
        film: the frames.
        follower: follows each object.
        display: gives the masks out.
    """

    def __init__(self, film: FrameStore, follower: Propagator, display: LatestMasks) -> None:
        self._film, self._follower, self._display = film, follower, display

    def start(self, tracks: Sequence[ObjectState], *, reverse: bool) -> int:
        """The frame at which to start where the user names none."""
        if not reverse:
            return min(min(track.seeds, default=0) for track in tracks)
        if all(track.seeds for track in tracks):
            return max(max(track.seeds) for track in tracks)
        return self._film.last()

    def run(self, tracks: Sequence[ObjectState], first: int, *, reverse: bool) -> Iterator[Segmentation]:
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

    def stream(self, tracks: Sequence[ObjectState], first: int) -> Iterator[Segmentation]:
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

    def _clip(self, tracks: Sequence[ObjectState], index: int) -> range:
        """The frames that the fuser needs for one; the frame alone where it has nothing to tell."""
        if not any(track.fuses for track in tracks):
            return range(index, index + 1)
        moments = self._film.window(index).moments
        return range(moments[0].index, moments[-1].index + 1)
