"""The follower: finds an object on the frames where it is pointed at, and follows it from there in both directions."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Literal, get_args

import numpy as np
import torch

from auralsam2.clock import Clock
from auralsam2.decoder.visual import VisualPrompts
from auralsam2.network import AuralNetwork
from auralsam2.tracker.converse.film import Film
from auralsam2.tracker.converse.found import Found, Merge, merge
from auralsam2.tracker.converse.parts import parts
from auralsam2.tracker.converse.sounds import Sounds
from auralsam2.tracker.converse.track import Seed, Track
from auralsam2.tracker.tracker import Tracked, Tracker, processing_order
from auralsam2.tracker.windows import Moment, Window
from auralsam2.types import FeaturePrompts

Combine = Literal["joint", "ensemble"]
COMBINES: tuple[Combine, ...] = get_args(Combine)


class Follower:
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
        film: Film,
        sounds: Sounds,
        compute: Callable[[], AbstractContextManager[object]],
        clock: Clock,
        combine: Combine,
        rule: Merge,
    ) -> None:
        self.combine: Combine = combine
        self.rule: Merge = rule
        self._network, self._film, self._sounds = network, film, sounds
        self._compute, self._clock = compute, clock

    def plant(self, track: Track, index: int, rounds: tuple[VisualPrompts, ...], corrects: torch.Tensor | None) -> Seed:
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

    def correct(self, track: Track, index: int, visual: VisualPrompts) -> Seed:
        """Answer one more round on a frame that has a seed."""
        seed = track.seeds[index]
        return self._answer(track, index, (*seed.rounds, visual), seed.corrects, seed.found.low)

    def replant(self, track: Track) -> Track:
        """All seeds of a track anew, after what the fuser is told of it has changed."""
        for index, seed in track.seeds.items():
            corrects = None
            if seed.corrects is not None and track.fuses:
                corrects = self.heard(track, index).low
            track = track.with_seed(index, self.plant(track, index, seed.rounds, corrects))
        return track

    def heard(self, track: Track, index: int) -> Found:
        """The mask of what the fuser is told alone, on one frame."""
        window = self._film.window(index)
        return next(self._within(track, window, [self._film.moment(index)]))

    def at(self, track: Track, index: int) -> Found:
        """The mask of an object on one frame, straight from its seeds, whatever lies between."""
        return next(self.follow(track, [index], reverse=False))

    def cut(self, track: Track, index: int | None, least: int) -> tuple[int, list[np.ndarray]]:
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
            these = parts(found.logits(self._network.image_size).cpu().numpy() > 0, least)
            if len(these) > len(most):
                where, most = number, these
        return where, most

    def follow(self, track: Track, indices: Iterable[int], *, reverse: bool) -> Iterator[Found]:
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
                yield merge(one, other, self.rule)

    def _by_fuser(self, track: Track, indices: Iterable[int], *, reverse: bool) -> Iterator[Found]:
        """By sound and words alone: each window afresh, as a clip in training."""
        window: Window | None = None
        results: Iterator[Found] = iter(())
        for index in indices:
            found = self._film.window(index)
            if found != window:
                window = found
                wanted = [m for m in window.moments[:: -1 if reverse else 1] if m.index >= window.first_new]
                results = self._within(track, window, wanted[wanted.index(self._film.moment(index)) :])
            yield next(results)

    def _within(self, track: Track, window: Window, wanted: list[Moment]) -> Iterator[Found]:
        """Frames of a window in the wanted order, each as soon as it is known."""
        conditioning = self._network.config.clip.conditioning
        tracker = self._network.tracker(len(window.moments), self._clock)
        if conditioning == "each":
            for moment in wanted:
                yield Found.of(self._step(tracker, track, moment.index, window=window, conditioning=True))
            return
        early: dict[int, Found] = {}
        left = list(wanted)
        for number, t in enumerate(processing_order(len(window.moments), conditioning)):
            moment = window.moments[t]
            early[moment.index] = Found.of(
                self._step(tracker, track, moment.index, t=t, window=window, conditioning=number == 0)
            )
            while left and left[0].index in early:
                yield early.pop(left.pop(0).index)

    def _by_memory(self, track: Track, indices: Iterable[int], *, reverse: bool) -> Iterator[Found]:
        """From the seeds by SAM 2's memory; time runs backward as forward, with negative numbers."""
        sign = -1 if reverse else 1
        tracker = self._network.tracker(clock=self._clock)
        for index, seed in sorted(track.seeds.items(), reverse=reverse):
            tracker.bank.add(sign * index, seed.remembered, conditioning=True)
        for index in indices:
            seed = track.seeds.get(index)
            yield seed.found if seed is not None else Found.of(self._step(tracker, track, index, t=sign * index))

    def _answer(
        self,
        track: Track,
        index: int,
        rounds: tuple[VisualPrompts, ...],
        corrects: torch.Tensor | None,
        before: torch.Tensor | None,
    ) -> Seed:
        visual = dataclasses.replace(rounds[-1], logits=before)
        tracker = self._network.tracker(clock=self._clock)
        tracked = self._step(tracker, track, index, visual=visual, conditioning=True)
        return Seed(rounds, corrects, Found.of(tracked), tracked.remembered)

    def _step(
        self,
        tracker: Tracker,
        track: Track,
        index: int,
        *,
        t: int | None = None,
        window: Window | None = None,
        visual: VisualPrompts | None = None,
        conditioning: bool = False,
    ) -> Tracked:
        """One frame. `window` tells that the fuser's prompts go alone, as part of that window."""
        features = self._film.features(index)
        prompts: FeaturePrompts | None = None
        if track.fuses and (window is not None or self.combine == "joint"):
            prompts = self._sounds.prompts(track.said, index, window)
        # The tracker counts its own stages.
        with torch.inference_mode(), self._compute():
            return tracker.step(index if t is None else t, features, prompts, visual, conditioning=conditioning)
