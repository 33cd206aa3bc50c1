"""Feature prompts of any frame, made from audio and text."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from auralsam2.inference.audio_examples import LEEWAY, AudioExamples
from auralsam2.inference.feature_cache import FeatureCache, pack_prompts, unpack_prompts
from auralsam2.inference.frame_store import FrameStore
from auralsam2.inference.windows import FrameTime, Window
from auralsam2.modeling.network import AuralNetwork
from auralsam2.types import FeaturePrompts
from auralsam2.utils.timing import StageTimer


@dataclass(frozen=True, slots=True)
class Condition:
    """Inputs of the fuser for one object.

    Attributes:
        use_audio: fuse the audio of the video; false fuses silence.
        text: an expression, or None.
    """

    use_audio: bool
    text: str | None


class FeaturePromptProvider:
    """Feature prompts by frame, computed for one window at a time and cached.

    Args:
        network: runs the fuser.
        frames: provides image features.
        compute: returns the context in which the network runs, without gradients.
        clock: counts seconds per stage.
        cache: owned by the caller.

    Attributes:
        damage: times of damaged audio, in seconds, as far as the file was read.
        notes: sentences about corrections of the audio, likewise.
        uses_audio: whether audio was fused for any frame so far.
        any_audible: whether any audio example so far was audible.
    """

    def __init__(
        self,
        network: AuralNetwork,
        frames: FrameStore,
        compute: Callable[[], AbstractContextManager[object]],
        clock: StageTimer,
        cache: FeatureCache,
    ) -> None:
        self._network, self._frames, self._compute, self._clock, self._cache = network, frames, compute, clock, cache
        self._audio: dict[bool, AudioExamples] = {}
        self._reached: dict[bool, int] = {}
        self._text: dict[str | None, torch.Tensor | None] = {}
        self.damage: list[float] = []
        self.notes: list[str] = []
        self.uses_audio = self.any_audible = False

    def close(self) -> None:
        """Close the audio files."""
        for examples in self._audio.values():
            examples.close()

    def prompts(self, condition: Condition, index: int, window: Window | None = None) -> FeaturePrompts:
        """Return the feature prompts of one frame, T = 1.

        Args:
            condition: audio and text.
            index: number of the frame.
            window: the window with which the frame is fused; None for the one that yields the frame.
        """
        window = window or self._frames.window(index)
        cached = self._cache.get(("prompts", condition, window.span, index))
        return self._fuse(condition, window, index)[0] if cached is None else unpack_prompts(cached)

    def audible(self, condition: Condition, index: int) -> bool:
        """Return whether the audio around a frame is audible; true without audio."""
        if not condition.use_audio:
            return True
        window = self._frames.window(index)
        cached = self._cache.get(("audible", window.span, index))
        return self._fuse(condition, window, index)[1] if cached is None else bool(cached["audible"])

    def _fuse(self, condition: Condition, window: Window, index: int) -> tuple[FeaturePrompts, bool]:
        """Fuse and cache all frames of a window; return the feature prompts and the audibility of one frame."""
        examples = self._examples(condition.use_audio, window.moments[0])
        text = self._text_features(condition.text)
        result: tuple[FeaturePrompts, bool] | None = None
        fused: set[int] = set()
        for clip in window.clips():
            with self._clock.stage("decode"):
                audio = [examples.example(moment, window, self._frames.slot) for moment in clip]
            frames = tuple(self._frames.features(moment.index) for moment in clip)
            with self._clock.stage("fuser"), self._compute():
                log_mel = torch.stack([example.log_mel for example in audio]).to(self._network.device)
                prompts = self._network.prompts(frames, log_mel, text)
            for t, moment in enumerate(clip):
                if moment.index in fused:
                    continue
                fused.add(moment.index)
                one = prompts.frame(t)
                self._cache.put(("prompts", condition, window.span, moment.index), pack_prompts(one))
                if condition.use_audio:
                    audible = {"audible": torch.tensor(audio[t].audible)}
                    self._cache.put(("audible", window.span, moment.index), audible)
                if moment.index == index:
                    result = one, audio[t].audible
        if condition.use_audio:
            self.uses_audio = True
            self._add_damage(examples.damage)
            self.notes += [note for note in examples.notes if note not in self.notes]
            self.any_audible |= examples.any_audible
        assert result is not None, "a window contains the frames that it yields"
        return result

    def _add_damage(self, damage: list[float]) -> None:
        """Add times of damage; times within a second of a known one are the same damage, read again."""
        new = [time for time in damage if all(abs(time - known) > 1.0 for known in self.damage)]
        self.damage = sorted([*self.damage, *new])

    def _examples(self, use_audio: bool, first: FrameTime) -> AudioExamples:
        """Return the audio examples from a frame on; the file is read forward, and opened again to go back."""
        if use_audio in self._audio and first.index < self._reached[use_audio]:
            self._audio.pop(use_audio).close()
        if use_audio not in self._audio:
            source = self._frames.source
            start = source.start if first.index == 0 else first.instant
            self._audio[use_audio] = AudioExamples(source.open_sound(max(0.0, start - LEEWAY)) if use_audio else None)
        self._reached[use_audio] = first.index
        self._audio[use_audio].forget_before(first.index)
        return self._audio[use_audio]

    def _text_features(self, text: str | None) -> torch.Tensor | None:
        if text not in self._text:
            with self._clock.stage("encoder"), self._compute():
                self._text[text] = self._network.encode_text(text)
        return self._text[text]
