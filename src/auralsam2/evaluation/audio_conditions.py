"""Audio conditions: a clip's own audio, another clip's, silence, or swapped channels."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence

from auralsam2.data.sample import LoadedClip, Sample
from auralsam2.errors import InputError
from auralsam2.evaluation.predictor import silent_log_mel

Loader = Callable[[Sample, int], LoadedClip]
"""Loads a sample with labels of a given size."""


class AudioConditions:
    """Loads samples under an audio condition.

    Args:
        load: the loader.
        sound: own, shuffled, silent or swapped.
        samples: all samples of the split, sources of shuffled audio.
        seed: of the shuffle; the source of a sample depends on the seed, its id and the split alone.
    """

    def __init__(self, load: Loader, sound: str, samples: Sequence[Sample], seed: int) -> None:
        self._load, self._sound, self._seed = load, sound, seed
        self._by_length: dict[int, list[Sample]] = {}
        for sample in sorted(samples, key=lambda sample: sample.id):
            self._by_length.setdefault(len(sample.frames), []).append(sample)

    def load(self, sample: Sample, size: int) -> LoadedClip:
        """Load a sample.

        Raises:
            InputError: no other clip has as many frames; or an error of the loader.
        """
        if self._sound == "shuffled":
            source = self.source(sample)
            shuffled = dataclasses.replace(sample, audio=source.audio, first_example=source.first_example)
            return dataclasses.replace(self._load(shuffled, size), sample=sample)
        clip = self._load(sample, size)
        if self._sound == "silent":
            return dataclasses.replace(clip, log_mel=silent_log_mel(clip.log_mel))
        if self._sound == "swapped":
            return dataclasses.replace(clip, log_mel=clip.log_mel.flip(1))
        return clip

    def source(self, sample: Sample) -> Sample:
        """Draw the sample whose audio replaces another's: of another clip with as many frames.

        Raises:
            InputError: there is none.
        """
        others = [other for other in self._by_length[len(sample.frames)] if other.clip != sample.clip]
        if not others:
            raise InputError(
                f"{sample.id}: no other clip of {len(sample.frames)} frames whose audio could be used: use `sound=own`"
            )
        return random.Random(f"{self._seed} {sample.id}").choice(others)
