"""Predict objects on prompted frames and propagate them in both directions."""

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
    """Predict the masks of objects on frames.

    Args:
        network: decodes and remembers.
        frames: the frames.
        feature_prompts: the feature prompts.
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
        frames: FrameStore,
        feature_prompts: FeaturePromptProvider,
        compute: Callable[[], AbstractContextManager[object]],
        clock: StageTimer,
        combine: Combine,
        rule: Merge,
    ) -> None:
        self.combine: Combine = combine
        self.rule: Merge = rule
        self._network, self._frames, self._feature_prompts = network, frames, feature_prompts
        self._compute, self._clock = compute, clock

    def predict_prompted(
        self, state: ObjectState, index: int, rounds: tuple[VisualPrompts, ...], corrects: torch.Tensor | None
    ) -> ConditioningFrame:
        """Find an object on a frame where the user points at it.

        Args:
            state: what is told of it beside.
            index: of the frame.
            rounds: one or more; all rounds that an earlier seed of this frame has answered are answered again.
            corrects: (4h, 4w) logits of the mask on display before the first round.
        """
        seed = self._answer(state, index, rounds[:1], corrects, corrects)
        for number in range(2, len(rounds) + 1):
            seed = self._answer(state, index, rounds[:number], corrects, seed.found.low)
        return seed

    def correct(self, state: ObjectState, index: int, visual: VisualPrompts) -> ConditioningFrame:
        """Answer one more round on a frame that has a seed."""
        seed = state.conditioning_frames[index]
        return self._answer(state, index, (*seed.rounds, visual), seed.corrects, seed.found.low)

    def recompute_prompted(self, state: ObjectState) -> ObjectState:
        """Predict all prompted frames of an object again, after its audio or text condition changed."""
        for index, seed in state.conditioning_frames.items():
            corrects = None
            if seed.corrects is not None and state.fuses:
                corrects = self.predict_unprompted(state, index).low
            state = state.with_conditioning_frame(index, self.predict_prompted(state, index, seed.rounds, corrects))
        return state

    def predict_unprompted(self, state: ObjectState, index: int) -> MaskPrediction:
        """The mask of what the fuser is told alone, on one frame."""
        window = self._frames.window(index)
        return next(self._within(state, window, [self._frames.moment(index)]))

    def predict_frame(self, state: ObjectState, index: int) -> MaskPrediction:
        """Predict the mask of an object on one frame from its prompted frames, without the frames between."""
        return next(self.propagate(state, [index], reverse=False))

    def components(self, state: ObjectState, index: int | None, least: int) -> tuple[int, list[np.ndarray]]:
        """The connected parts of an object's mask on one frame.

        Args:
            state: not empty.
            index: of the frame; None for the one with the most parts, for which all frames are looked at.
            least: pixels of the square that a part must have.

        Returns:
            (index, (S, S) bool masks, the largest first).
        """
        indices = self._frames.upward(0) if index is None else iter([index])
        where, most = index or 0, list[np.ndarray]()
        here, there = itertools.tee(indices)
        for number, found in zip(here, self.propagate(state, there, reverse=False), strict=True):
            these = connected_components(found.logits(self._network.image_size).cpu().numpy() > 0, least)
            if len(these) > len(most):
                where, most = number, these
        return where, most

    def propagate(self, state: ObjectState, indices: Iterable[int], *, reverse: bool) -> Iterator[MaskPrediction]:
        """The masks of an object on successive frames.

        Args:
            state: not empty.
            indices: one after the other, ascending, or descending with `reverse`.
            reverse: backward in time.
        """
        if not state.conditioning_frames:
            yield from self._by_fuser(state, indices, reverse=reverse)
        elif self.combine == "joint" or not state.fuses:
            yield from self._by_memory(state, indices, reverse=reverse)
        else:
            first, second = itertools.tee(indices)
            heard = self._by_fuser(state, first, reverse=reverse)
            for one, other in zip(heard, self._by_memory(state, second, reverse=reverse), strict=True):
                yield merge_predictions(one, other, self.rule)

    def _by_fuser(self, state: ObjectState, indices: Iterable[int], *, reverse: bool) -> Iterator[MaskPrediction]:
        """By sound and words alone: each window afresh, as a clip in training."""
        window: Window | None = None
        results: Iterator[MaskPrediction] = iter(())
        for index in indices:
            found = self._frames.window(index)
            if found != window:
                window = found
                wanted = [m for m in window.moments[:: -1 if reverse else 1] if m.index >= window.first_new]
                results = self._within(state, window, wanted[wanted.index(self._frames.moment(index)) :])
            yield next(results)

    def _within(self, state: ObjectState, window: Window, wanted: list[FrameTime]) -> Iterator[MaskPrediction]:
        """Frames of a window in the wanted order, each as soon as it is known."""
        conditioning = self._network.config.clip.conditioning
        tracker = new_tracker(self._network, len(window.moments), self._clock)
        if conditioning == "each":
            for moment in wanted:
                yield MaskPrediction.of(self._step(tracker, state, moment.index, window=window, conditioning=True))
            return
        early: dict[int, MaskPrediction] = {}
        left = list(wanted)
        for number, t in enumerate(processing_order(len(window.moments), conditioning)):
            moment = window.moments[t]
            early[moment.index] = MaskPrediction.of(
                self._step(tracker, state, moment.index, t=t, window=window, conditioning=number == 0)
            )
            while left and left[0].index in early:
                yield early.pop(left.pop(0).index)

    def _by_memory(self, state: ObjectState, indices: Iterable[int], *, reverse: bool) -> Iterator[MaskPrediction]:
        """Propagate from the prompted frames by SAM 2's memory; backward, frames have negative numbers."""
        sign = -1 if reverse else 1
        tracker = new_tracker(self._network, timer=self._clock)
        for index, seed in sorted(state.conditioning_frames.items(), reverse=reverse):
            tracker.bank.add(sign * index, seed.remembered, conditioning=True)
        for index in indices:
            seed = state.conditioning_frames.get(index)
            yield (
                seed.found if seed is not None else MaskPrediction.of(self._step(tracker, state, index, t=sign * index))
            )

    def _answer(
        self,
        state: ObjectState,
        index: int,
        rounds: tuple[VisualPrompts, ...],
        corrects: torch.Tensor | None,
        before: torch.Tensor | None,
    ) -> ConditioningFrame:
        visual = dataclasses.replace(rounds[-1], logits=before)
        tracker = new_tracker(self._network, timer=self._clock)
        tracked = self._step(tracker, state, index, visual=visual, conditioning=True)
        return ConditioningFrame(rounds, corrects, MaskPrediction.of(tracked), tracked.remembered)

    def _step(
        self,
        tracker: ObjectTracker,
        state: ObjectState,
        index: int,
        *,
        t: int | None = None,
        window: Window | None = None,
        visual: VisualPrompts | None = None,
        conditioning: bool = False,
    ) -> TrackedFrame:
        """One frame. `window` tells that the fuser's prompts go alone, as part of that window."""
        features = self._frames.features(index)
        prompts: FeaturePrompts | None = None
        if state.fuses and (window is not None or self.combine == "joint"):
            prompts = self._feature_prompts.prompts(state.condition, index, window)
        # The tracker counts its own stages.
        with torch.inference_mode(), self._compute():
            return tracker.step(index if t is None else t, features, prompts, visual, conditioning=conditioning)


class PromptApplier:
    """Apply visual prompts to frames.

    Args:
        propagator: finds objects by them.
        latest_masks: knows the masks that clicks correct.
        size: S.
    """

    def __init__(self, propagator: Propagator, latest_masks: LatestMasks, size: int) -> None:
        self._propagator, self._latest_masks, self._size = propagator, latest_masks, size

    def apply_prompts(self, state: ObjectState, index: int, visual: VisualPrompts) -> ObjectState:
        """Return the state with one more round of prompts on a frame; a box or a mask starts the first round."""
        seed = state.conditioning_frames.get(index)
        if visual.box is not None or visual.mask is not None:
            seed = self._propagator.predict_prompted(state, index, (visual,), None)
        elif seed is not None:
            seed = self._propagator.correct(state, index, concat_prompts(seed.rounds[-1], visual))
        else:
            shown = self._latest_masks.shown(state, index)
            corrects = None if shown is None else shown.low
            if corrects is None and is_negative_only(visual) and not state.empty:
                # Clicks that only take away need something to take from.
                corrects = self._propagator.predict_frame(state, index).low
            if corrects is not None and is_negative_only(visual) and state.fuses:
                visual = with_positive_anchor(visual, corrects, self._size)
            seed = self._propagator.predict_prompted(state, index, (visual,), corrects)
        return state.with_conditioning_frame(index, seed)


class MultiObjectPropagation:
    """Goes through the film with all objects abreast.

    Args:
        frames: the frames.
        propagator: follows each object.
        latest_masks: gives the masks out.
    """

    def __init__(self, frames: FrameStore, propagator: Propagator, latest_masks: LatestMasks) -> None:
        self._frames, self._propagator, self._latest_masks = frames, propagator, latest_masks

    def start(self, states: Sequence[ObjectState], *, reverse: bool) -> int:
        """The frame at which to start where the user names none."""
        if not reverse:
            return min(min(state.conditioning_frames, default=0) for state in states)
        if all(state.conditioning_frames for state in states):
            return max(max(state.conditioning_frames) for state in states)
        return self._frames.last()

    def run(self, states: Sequence[ObjectState], first: int, *, reverse: bool) -> Iterator[Segmentation]:
        """Frame by frame, the objects of a frame in the order of `states`.

        Args:
            states: none of them empty.
            first: index of the first frame.
            reverse: backward in time.

        Raises:
            UsageError: the session was closed meanwhile.
        """

        def indices() -> Iterator[int]:
            return iter(range(first, -1, -1)) if reverse else self._frames.upward(first)

        results = [self._propagator.propagate(state, indices(), reverse=reverse) for state in states]
        for index in indices():
            self._frames.check_open()
            for state, result in zip(states, results, strict=True):
                yield self._latest_masks.show(state, index, next(result))

    def stream(self, states: Sequence[ObjectState], first: int) -> Iterator[Segmentation]:
        """All frames in the order of time, each for the last time: what is kept of it is dropped.

        Those before the start are found backward from there, and given out when all of them are known: a memory that
        came to the prompt from afar would have lost the object on the way.

        Args:
            states: none of them empty.
            first: index of the frame at which to start.

        Raises:
            UsageError: the session was closed meanwhile.
        """
        if not self._frames.has(first):
            return
        begin = self._clip(states, first).start
        results = [self._propagator.propagate(state, range(first - 1, -1, -1), reverse=True) for state in states]
        end = begin
        for index in range(first - 1, -1, -1):
            self._frames.check_open()
            for state, result in zip(states, results, strict=True):
                self._latest_masks.put(state, index, next(result))
            done = self._clip(states, index).stop
            # What is audible there stays: it is told with the mask.
            self._frames.forget(range(done, end), "features", "picture", "prompts")
            end = min(end, done)
        gone = 0
        for index in range(first):
            self._frames.check_open()
            for state in states:
                found = self._latest_masks.shown(state, index) or self._propagator.predict_frame(state, index)
                yield self._latest_masks.show(state, index, found)
            self._frames.forget(range(gone, min(index, begin)))
            gone = max(gone, min(index, begin))
        for shown in self.run(states, first, reverse=False):
            yield shown
            begin = self._clip(states, shown.index).start
            self._frames.forget(range(gone, begin))
            gone = max(gone, begin)

    def _clip(self, states: Sequence[ObjectState], index: int) -> range:
        """The frames that the fuser needs for one; the frame alone where it has nothing to tell."""
        if not any(state.fuses for state in states):
            return range(index, index + 1)
        moments = self._frames.window(index).moments
        return range(moments[0].index, moments[-1].index + 1)
