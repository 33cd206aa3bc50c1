"""What sounds and what is said, as feature prompts of any frame."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from auralsam2.inference.audio_examples import AudioExamples
from auralsam2.inference.feature_cache import FeatureCache, pack_prompts, unpack_prompts
from auralsam2.inference.frame_store import FrameStore
from auralsam2.inference.windows import FrameTime, Window
from auralsam2.modeling.network import AuralNetwork
from auralsam2.types import FeaturePrompts
from auralsam2.utils.timing import StageTimer


@dataclass(frozen=True, slots=True)
class Condition:
    """What the fuser is told of an object.

    Attributes:
        hears: the sound of the clip; else silence.
        text: an expression, or None.
    """

    hears: bool
    text: str | None


class FeaturePromptProvider:
    """Feature prompts by frame, made a window at a time and kept in `kept`.

    Args:
        network: fuses.
        film: the frames.
        compute: makes the context in which the network runs.
        clock: counts seconds per stage.
        kept: owned by the caller.
    """

    def __init__(
        self,
        network: AuralNetwork,
        film: FrameStore,
        compute: Callable[[], AbstractContextManager[object]],
        clock: StageTimer,
        kept: FeatureCache,
    ) -> None:
        self._network, self._film, self._compute, self._clock, self._kept = network, film, compute, clock, kept
        self._hearing: dict[bool, AudioExamples] = {}
        self._reached: dict[bool, int] = {}
        self._words: dict[str | None, torch.Tensor | None] = {}
        self.damage: list[float] = []
        self.asked = self.heard_something = False

    def close(self) -> None:
        """Let go of the file."""
        for hearing in self._hearing.values():
            hearing.close()

    def prompts(self, said: Condition, index: int, window: Window | None = None) -> FeaturePrompts:
        """The feature prompts of one frame, T = 1.

        Args:
            said: what the fuser is told.
            index: of the frame.
            window: as part of which the frame is meant; None for the one that gives it out.
        """
        window = window or self._film.window(index)
        kept = self._kept.get(("prompts", said, window.first_slot, index))
        return self._fuse(said, window)[index][0] if kept is None else unpack_prompts(kept)

    def audible(self, said: Condition, index: int) -> bool:
        """Whether anything sounds at a frame, or nobody listens."""
        if not said.hears:
            return True
        window = self._film.window(index)
        kept = self._kept.get(("audible", window.first_slot, index))
        return self._fuse(said, window)[index][1] if kept is None else bool(kept["audible"])

    def _fuse(self, said: Condition, window: Window) -> dict[int, tuple[FeaturePrompts, bool]]:
        """All frames of a window, kept and returned."""
        hearing = self._listen(said.hears, window.moments[0])
        found: dict[int, tuple[FeaturePrompts, bool]] = {}
        text = self._text_features(said.text)
        for clip in window.clips():
            with self._clock.stage("decode"):
                heard = [hearing.example(moment, window, self._film.slot) for moment in clip]
            frames = tuple(self._film.features(moment.index) for moment in clip)
            with self._clock.stage("fuser"), torch.inference_mode(), self._compute():
                log_mel = torch.stack([example.log_mel for example in heard]).to(self._network.device)
                prompts = self._network.prompts(frames, log_mel, text)
            for t, moment in enumerate(clip):
                if moment.index not in found:
                    found[moment.index] = (prompts.frame(t), heard[t].audible)
        for index, (prompts, audible) in found.items():
            self._kept.put(("prompts", said, window.first_slot, index), pack_prompts(prompts))
            if said.hears:
                self._kept.put(("audible", window.first_slot, index), {"audible": torch.tensor(audible)})
        if said.hears:
            self.asked = True
            self._note(hearing.damage)
            self.heard_something |= hearing.heard_something
        return found

    def _note(self, damage: list[float]) -> None:
        """Remember damage; the same place may be met again, within a second."""
        new = [time for time in damage if all(abs(time - known) > 1.0 for known in self.damage)]
        self.damage = sorted([*self.damage, *new])

    def _listen(self, hears: bool, first: FrameTime) -> AudioExamples:
        """The sound from a frame on: it is read forward, and opened again to go back."""
        if hears in self._hearing and first.index < self._reached[hears]:
            self._hearing.pop(hears).close()
        if hears not in self._hearing:
            self._hearing[hears] = AudioExamples(self._film.source.sound if hears else None, first.instant)
        self._reached[hears] = first.index
        self._hearing[hears].forget_before(first.index)
        return self._hearing[hears]

    def _text_features(self, text: str | None) -> torch.Tensor | None:
        if text not in self._words:
            with self._clock.stage("encoder"), torch.inference_mode(), self._compute():
                self._words[text] = self._network.read(text)
        return self._words[text]
