"""What a clip sounds like in a hearing test: its own sound, another clip's, silence, or left and right swapped."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence

from auralsam2.data.sample import LoadedClip, Sample
from auralsam2.errors import InputError
from auralsam2.evaluation.predictor import silent_log_mel

Loader = Callable[[Sample, int], LoadedClip]
"""Loads a sample with labels at a given size."""


class AudioConditions:
    """Loads samples with the sound that the options ask for.

    Args:
        load: the loader.
        sound: own, shuffled, silent or swapped.
        samples: all of the split, from which foreign sounds are drawn.
        seed: of the draw; what a sample draws depends on nothing but the seed, its id and the split.
    """

    def __init__(self, load: Loader, sound: str, samples: Sequence[Sample], seed: int) -> None:
        self._load, self._sound, self._seed = load, sound, seed
        self._by_length: dict[int, list[Sample]] = {}
        for sample in sorted(samples, key=lambda sample: sample.id):
            self._by_length.setdefault(len(sample.frames), []).append(sample)

    def load(self, sample: Sample, size: int) -> LoadedClip:
        """Load a sample.

        Raises:
            InputError: no other clip of as many frames has a sound to lend; or the loader's own.
        """
        if self._sound == "shuffled":
            lender = self.lender(sample)
            heard = dataclasses.replace(sample, audio=lender.audio, first_example=lender.first_example)
            return dataclasses.replace(self._load(heard, size), sample=sample)
        clip = self._load(sample, size)
        if self._sound == "silent":
            return dataclasses.replace(clip, log_mel=silent_log_mel(clip.log_mel))
        if self._sound == "swapped":
            return dataclasses.replace(clip, log_mel=clip.log_mel.flip(1))
        return clip

    def lender(self, sample: Sample) -> Sample:
        """The sample whose sound another one gets: of another clip, with as many frames.

        Raises:
            InputError: there is none.
        """
        others = [other for other in self._by_length[len(sample.frames)] if other.clip != sample.clip]
        if not others:
            raise InputError(f"{sample.id}: no other clip of {len(sample.frames)} frames to lend its sound")
        return random.Random(f"{self._seed} {sample.id}").choice(others)
