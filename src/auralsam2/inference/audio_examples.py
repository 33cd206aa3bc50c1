"""Log-mel example of each processed frame: the audio around its instant, read in the order of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from auralsam2.inference.windows import FrameTime, Window, sound_begin
from auralsam2.media.audio_track import SoundTrack
from auralsam2.modeling import log_mel as log_mel_module
from auralsam2.modeling.log_mel import EXAMPLE_SAMPLES
from auralsam2.types import AUDIO_RATE

EXAMPLE_SECONDS = EXAMPLE_SAMPLES / AUDIO_RATE
LEEWAY = 0.5
"""Largest shift, in seconds, of an example that begins before the audio or ends after it."""
AUDIBLE = 1e-4
"""Largest amplitude of a silent example: -80 dBFS."""


@dataclass(frozen=True, slots=True)
class AudioExample:
    """Audio of one frame.

    Attributes:
        log_mel: (2, 96, 64), left and right.
        audible: whether the amplitude exceeds -80 dBFS.
    """

    log_mel: torch.Tensor
    audible: bool


class AudioExamples:
    """Audio examples of a sound track.

    Args:
        track: the sound; None gives silence. `close` closes it.

    Attributes:
        any_audible: whether any example so far was audible.
    """

    def __init__(self, track: SoundTrack | None) -> None:
        self._track = track
        self._examples: dict[tuple[int, float], AudioExample] = {}
        self.any_audible = False

    def close(self) -> None:
        """Close the file."""
        if self._track is not None:
            self._track.close()

    @property
    def damage(self) -> list[float]:
        """Times of damaged audio, in seconds, as far as the file was read."""
        return self._track.damage if self._track is not None else []

    @property
    def notes(self) -> list[str]:
        """Sentences about corrections of the audio, as far as the file was read."""
        return self._track.notes if self._track is not None else []

    def example(self, moment: FrameTime, window: Window, slot_length: float) -> AudioExample:
        """Return the audio example of a frame in a window."""
        begin = sound_begin(moment, window, slot_length)
        key = (moment.index, begin)
        if key not in self._examples:
            samples = self._samples(begin)
            audible = bool(np.abs(samples).max() > AUDIBLE)
            self.any_audible |= audible
            self._examples[key] = AudioExample(log_mel_module.log_mel_example(torch.from_numpy(samples)), audible)
        return self._examples[key]

    def forget_before(self, index: int) -> None:
        """Drop the examples of frames before one; later windows may overlap and need the others."""
        self._examples = {key: example for key, example in self._examples.items() if key[0] >= index}

    def _samples(self, begin: float) -> np.ndarray:
        if self._track is None:
            return np.zeros((EXAMPLE_SAMPLES, 2), np.float32)
        begin = 0.0 if -LEEWAY <= begin < 0.0 else begin
        # Advances the track: frames may be further apart than the audio that it buffers.
        self._track.read(begin, begin)
        if self._track.ends_before(begin + EXAMPLE_SECONDS) and self._track.duration is not None:
            excess = begin + EXAMPLE_SECONDS - self._track.duration
            if 0.0 < excess <= LEEWAY:
                begin = max(0.0, begin - excess)
        return self._track.read(begin, begin + EXAMPLE_SECONDS)
