"""Prediction of objects on single frames, and propagation of one or several objects through a video."""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from typing import Literal, get_args

import numpy as np
import torch

from auralsam2.arguments import as_choice
from auralsam2.inference.clip import new_tracker
from auralsam2.inference.feature_cache import FeatureCache
from auralsam2.inference.feature_prompts import FeaturePromptProvider
from auralsam2.inference.frame_store import FrameStore
from auralsam2.inference.object_state import (
    Combine,
    ConditioningFrame,
    MaskPrediction,
    Merge,
    ObjectState,
    merge_predictions,
)
from auralsam2.inference.prompt_mapping import concat_prompts, is_negative_only, with_positive_anchor
from auralsam2.inference.results import LatestMasks
from auralsam2.inference.tracker import FrameInput, ObjectTracker, full_size, processing_order
from auralsam2.inference.windows import Window
from auralsam2.modeling.network import AuralNetwork
from auralsam2.modeling.prompt_encoder import VisualPrompts
from auralsam2.types import Segmentation
from auralsam2.utils.mask_geometry import connected_components
from auralsam2.utils.timing import StageTimer

Direction = Literal["forward", "backward", "both"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
_EARLY_MASKS = 64 << 20
"""Bytes in memory of the masks of frames before the first prompted one; others are in a temporary file."""


class Propagator:
    """Predicts the masks of one object on frames.

    Args:
        network: provides prompt encoder, mask decoder and memory.
        frames: provides image features.
        feature_prompts: provides feature prompts.
        compute: returns the context in which the network runs, without gradients.
        clock: counts seconds per stage.
        combine: for objects with visual prompts beside audio or text. `joint`: one decoder call gets all prompts.
            `ensemble`: one call gets the feature prompts, another one the visual prompts, and the masks are merged.
        rule: merge rule of an ensemble.
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
        self, state: ObjectState, index: int, rounds: tuple[VisualPrompts, ...], initial: torch.Tensor | None
    ) -> ConditioningFrame:
        """Predict an object on a frame with visual prompts.

        Args:
            state: of the object; provides audio and text.
            index: of the frame.
            rounds: one or more rounds of visual prompts; see `ConditioningFrame`. All are decoded.
            initial: (4h, 4w) logits of the mask that the first round corrects, or None.
        """
        frame = self._decode_round(state, index, rounds[:1], initial, initial)
        for count in range(2, len(rounds) + 1):
            frame = self._decode_round(state, index, rounds[:count], initial, frame.prediction.low_res)
        return frame

    def correct(self, state: ObjectState, index: int, visual: VisualPrompts) -> ConditioningFrame:
        """Decode one more round of visual prompts on a conditioning frame."""
        frame = state.conditioning_frames[index]
        rounds = (*frame.rounds, visual)
        return self._decode_round(state, index, rounds, frame.initial, frame.prediction.low_res)

    def recompute_prompted(self, state: ObjectState) -> ObjectState:
        """Predict all conditioning frames of an object again, after its audio or text condition changed."""
        for index, frame in state.conditioning_frames.items():
            initial = None
            if frame.initial is not None and state.fuses:
                initial = self.predict_unprompted(state, index).low_res
            state = state.with_conditioning_frame(index, self.predict_prompted(state, index, frame.rounds, initial))
        return state

    def predict_unprompted(self, state: ObjectState, index: int) -> MaskPrediction:
        """Predict an object on one frame from audio and text alone."""
        return next(self._in_window(state, self._frames.window(index), [index]))

    def predict_frame(self, state: ObjectState, index: int) -> MaskPrediction:
        """Predict an object on one frame from its conditioning frames, without the frames between."""
        return next(self.propagate(state, [index], reverse=False))

    def components(self, state: ObjectState, index: int | None, least: int) -> tuple[int, list[np.ndarray]]:
        """Return the connected components of an object's mask on one frame.

        Args:
            state: of the object, not empty.
            index: of the frame; None for the frame with the most components, which predicts all frames.
            least: smallest area of a component, in pixels of the model's square.

        Returns:
            index of the frame, and (S, S) bool masks, sorted by descending area.
        """
        candidates, indices = itertools.tee(self._frames.upward(0) if index is None else [index])
        best, components = index or 0, list[np.ndarray]()
        predictions = self.propagate(state, indices, reverse=False)
        for candidate, prediction in zip(candidates, predictions, strict=True):
            mask = full_size(prediction.low_res[None, None], self._network.image_size)[0, 0].cpu().numpy() > 0
            parts = connected_components(mask, least)
            if len(parts) > len(components):
                best, components = candidate, parts
        return best, components

    def propagate(self, state: ObjectState, indices: Iterable[int], *, reverse: bool) -> Iterator[MaskPrediction]:
        """Predict an object on successive frames, lazily.

        Args:
            state: of the object, not empty.
            indices: of the frames: ascending, or descending with `reverse`.
            reverse: propagate backward in time.
        """
        if not state.conditioning_frames:
            yield from self._by_windows(state, indices, reverse=reverse)
        elif self.combine == "joint" or not state.fuses:
            yield from self._by_memory(state, indices, reverse=reverse)
        else:
            indices, copy = itertools.tee(indices)
            fused = self._by_windows(state, indices, reverse=reverse)
            for first, second in zip(fused, self._by_memory(state, copy, reverse=reverse), strict=True):
                yield second if second.given is not None else merge_predictions(first, second, self.rule)

    def _by_windows(self, state: ObjectState, indices: Iterable[int], *, reverse: bool) -> Iterator[MaskPrediction]:
        """Predict from audio and text; the memory starts anew in each window, as in a training clip."""
        window: Window | None = None
        predictions: Iterator[MaskPrediction] = iter(())
        for index in indices:
            if (current := self._frames.window(index)) != window:
                window = current
                new = range(window.first_new, window.moments[-1].index + 1)
                order = range(index, new[0] - 1, -1) if reverse else range(index, new[-1] + 1)
                predictions = self._in_window(state, window, order)
            yield next(predictions)

    def _in_window(self, state: ObjectState, window: Window, indices: Sequence[int]) -> Iterator[MaskPrediction]:
        """Predict frames of a window in the given order, each as soon as it is tracked."""
        conditioning, count, first = (
            self._network.config.clip.conditioning,
            len(window.moments),
            window.moments[0].index,
        )
        if conditioning == "each":
            order = start = [index - first for index in indices]
        else:
            order = processing_order(count, conditioning)
            start = order[:1]
        tracked = self._tracker(count).track(order, lambda t: self._input(state, first + t, window=window), start)
        waiting: dict[int, MaskPrediction] = {}
        remaining = deque(indices)
        for frame in tracked:
            waiting[first + frame.t] = MaskPrediction.of(frame)
            while remaining and remaining[0] in waiting:
                yield waiting.pop(remaining.popleft())

    def _by_memory(self, state: ObjectState, indices: Iterable[int], *, reverse: bool) -> Iterator[MaskPrediction]:
        """Propagate from the conditioning frames with SAM 2's memory; backward, frames have negative numbers."""
        sign = -1 if reverse else 1
        tracker = self._tracker()
        for index, frame in sorted(state.conditioning_frames.items(), reverse=reverse):
            tracker.bank.add(sign * index, frame.entry, conditioning=True)
        indices, copy = itertools.tee(indices)
        order = (sign * index for index in copy if index not in state.conditioning_frames)
        tracked = tracker.track(order, lambda t: self._input(state, sign * t))
        for index in indices:
            frame = state.conditioning_frames.get(index)
            yield MaskPrediction.of(next(tracked)) if frame is None else frame.prediction

    def _decode_round(
        self,
        state: ObjectState,
        index: int,
        rounds: tuple[VisualPrompts, ...],
        initial: torch.Tensor | None,
        previous: torch.Tensor | None,
    ) -> ConditioningFrame:
        """Decode the last of some rounds, which corrects the `previous` mask."""
        visual = dataclasses.replace(rounds[-1], logits=previous)
        (frame,) = self._tracker().track([index], lambda t: self._input(state, t, visual=visual), [index])
        return ConditioningFrame(rounds, initial, MaskPrediction.of(frame, visual), frame.entry)

    def _tracker(self, frames: int | None = None) -> ObjectTracker:
        return new_tracker(self._network, frames, self._clock, self._compute)

    def _input(
        self, state: ObjectState, index: int, *, window: Window | None = None, visual: VisualPrompts | None = None
    ) -> FrameInput:
        """Return the input of the tracker for one frame; with `window`, its feature prompts from that window."""
        features = self._frames.features(index)
        if state.fuses and (window is not None or self.combine == "joint"):
            return FrameInput(features, self._feature_prompts.prompts(state.condition, index, window), visual)
        return FrameInput(features, None, visual)


class PromptApplier:
    """Applies visual prompts to frames.

    Args:
        propagator: predicts the masks.
        latest_masks: provides the masks that clicks correct.
        size: S.
    """

    def __init__(self, propagator: Propagator, latest_masks: LatestMasks, size: int) -> None:
        self._propagator, self._latest_masks, self._size = propagator, latest_masks, size

    def apply_prompts(self, state: ObjectState, index: int, visual: VisualPrompts) -> ObjectState:
        """Return the state after one more round of prompts on a frame; a box or a mask starts the first round."""
        frame = state.conditioning_frames.get(index)
        if visual.box is not None or visual.mask is not None:
            frame = self._propagator.predict_prompted(state, index, (visual,), None)
        elif frame is not None:
            frame = self._propagator.correct(state, index, concat_prompts(frame.rounds[-1], visual))
        else:
            latest = self._latest_masks.get(state, index)
            initial = None if latest is None else latest.low_res
            if initial is None and is_negative_only(visual) and not state.empty:
                # Negative clicks alone need a mask that they correct.
                initial = self._propagator.predict_frame(state, index).low_res
            if initial is not None and is_negative_only(visual) and state.fuses:
                visual = with_positive_anchor(visual, initial, self._size)
            frame = self._propagator.predict_prompted(state, index, (visual,), initial)
        return state.with_conditioning_frame(index, frame)


class MultiObjectPropagation:
    """Propagates all objects frame by frame.

    Args:
        frames: the frames.
        propagator: predicts each object.
        latest_masks: stores the masks and returns the segmentations.
    """

    def __init__(self, frames: FrameStore, propagator: Propagator, latest_masks: LatestMasks) -> None:
        self._frames, self._propagator, self._latest_masks = frames, propagator, latest_masks

    def propagate(
        self, states: Sequence[ObjectState], start: int | None, direction: Direction
    ) -> Iterator[Segmentation]:
        """Propagate in one or both directions; see `VideoSession.propagate`.

        Args:
            states: of the objects, none of them empty.
            start: index of the first frame, or None.
            direction: `forward`, `backward` or `both`.

        Raises:
            UsageError: the direction is unknown, or the session was closed meanwhile.
        """
        as_choice("direction", direction, DIRECTIONS)
        backward = direction == "backward"
        first = self.start(states, reverse=backward) if start is None else start
        masks = self.run(states, first, reverse=backward)
        if direction == "both":
            return itertools.chain(masks, self.run(states, first - 1, reverse=True))
        return masks

    def start(self, states: Sequence[ObjectState], *, reverse: bool) -> int:
        """Return the default start frame: see `VideoSession.propagate`."""
        if not reverse:
            return min(min(state.conditioning_frames, default=0) for state in states)
        if all(state.conditioning_frames for state in states):
            return max(max(state.conditioning_frames) for state in states)
        return self._frames.last()

    def run(self, states: Sequence[ObjectState], first: int, *, reverse: bool) -> Iterator[Segmentation]:
        """Propagate frame by frame, lazily; the objects of a frame in the order of `states`.

        Args:
            states: of the objects, none of them empty.
            first: index of the first frame.
            reverse: propagate backward in time.

        Raises:
            UsageError: the session was closed meanwhile.
        """

        def indices() -> Iterator[int]:
            return iter(range(first, -1, -1)) if reverse else self._frames.upward(first)

        predictions = [self._propagator.propagate(state, indices(), reverse=reverse) for state in states]
        for index in indices():
            self._frames.check_open()
            for state, prediction in zip(states, predictions, strict=True):
                yield self._latest_masks.show(state, index, next(prediction))

    def stream(self, states: Sequence[ObjectState]) -> Iterator[Segmentation]:
        """Propagate through the whole video in the order of time, and drop the cached data of each yielded frame.

        Frames before the first prompted one of an object are predicted backward from it before any frame is yielded, as
        the object may be lost on the way from the start of the video to the prompt.

        Args:
            states: of the objects, none of them empty.

        Raises:
            UsageError: the session was closed meanwhile.
        """
        firsts = [min(state.conditioning_frames, default=0) for state in states]
        if not self._frames.has(max(firsts)):
            return
        needed = self._needed_frames(states, max(firsts)).start
        with closing(FeatureCache(_EARLY_MASKS, disk=None)) as cache:
            early = self._latest_masks.in_cache(cache)
            self._predict_before(states, firsts, early)
            predictions = [
                self._propagator.propagate(state, self._frames.upward(first), reverse=False)
                for state, first in zip(states, firsts, strict=True)
            ]
            for index in self._frames.upward(0):
                self._frames.check_open()
                for state, first, forward in zip(states, firsts, predictions, strict=True):
                    prediction = early.get(state, index) if index < first else next(forward)
                    assert prediction is not None, "an unlimited cache evicts nothing"
                    yield self._latest_masks.show(state, index, prediction)
                cache.forget((index,))
                if index < max(firsts):
                    self._frames.forget_before(min(index, needed))
                else:
                    # A later window may overlap this one, and needs the features alone.
                    self._frames.forget(range(index, index + 1), "picture", "prompts", "audible", "mask")
                    self._frames.forget_before(self._needed_frames(states, index).start)

    def _predict_before(self, states: Sequence[ObjectState], firsts: Sequence[int], early: LatestMasks) -> None:
        """Predict the frames before the first prompted one of each object, backward.

        Args:
            states: of the objects.
            firsts: indices of their first prompted frames.
            early: stores the masks.
        """
        predictions = [
            self._propagator.propagate(state, range(first - 1, -1, -1), reverse=True)
            for state, first in zip(states, firsts, strict=True)
        ]
        end = self._needed_frames(states, max(firsts)).start
        for index in range(max(firsts) - 1, -1, -1):
            self._frames.check_open()
            for state, first, prediction in zip(states, firsts, predictions, strict=True):
                if index < first:
                    early.put(state, index, next(prediction))
            stop = self._needed_frames(states, index).stop
            self._frames.forget(range(stop, end), "features", "picture", "prompts")
            end = min(end, stop)

    def _needed_frames(self, states: Sequence[ObjectState], index: int) -> range:
        """Return the frames whose features a frame needs: its window with audio or text, else the frame alone."""
        if not any(state.fuses for state in states):
            return range(index, index + 1)
        moments = self._frames.window(index).moments
        return range(moments[0].index, moments[-1].index + 1)
