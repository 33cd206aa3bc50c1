"""One-second examples of mixed sounds for audio tagging.

An example follows from seed and number; nothing is stored. Each second is cut from a longer track, composed and checked
for audibility like the tracks of StampAVS. It may begin with the end of another sound or with a pause.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from auralsam2.modeling.log_mel import EXAMPLE_FRAMES, EXAMPLE_SAMPLES, HOP, log_mel
from auralsam2.stampavs import audio, splits
from auralsam2.stampavs.assets import Category, collect_assets
from auralsam2.stampavs.presets import HARD
from auralsam2.stampavs.scene import FRAMES, LONG
from auralsam2.types import AUDIO_RATE

AudioSplit = Literal["train", "fresh", "held-out"]

_SPLITS = ("train", "fresh", "held-out")
_SOURCE_PROBS = (0.2, 0.45, 0.35)
"""Probabilities of no, one and two sources."""
_SPEEDS = (0.9, 1.1)
_DRIFT = 0.1
# Levels in dB below full scale, as in the noise scenes and the hard scenes.
_NOISE = (-32.0, -16.0)
_HISS = (-62.0, -46.0)


def final_splits(stamps: Path | None) -> tuple[AudioSplit, ...]:
    """Splits on which the final test runs; "held-out" needs a category with two recordings."""
    collection = collect_assets(stamps)
    spare = "test-new-sound" in splits.possible_splits(collection, splits.split_assets(collection, 0))
    return ("fresh", "held-out") if spare else ("fresh",)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggingBatch:
    """N examples with K categories.

    Log-mel spectrograms (N, 2, 96, 64), audible categories `tags` (N, K) bool, and the horizontal position of each
    source, (N, K) float32 from 0 (left) to 1 (right), 0 where absent.
    """

    log_mel: torch.Tensor
    tags: torch.Tensor
    positions: torch.Tensor


class TaggingSamples:
    """Examples by number.

    Args:
        split: "train" and "fresh" use the training recordings with different random streams, "held-out" those that the
            splits exclude from training.
        seed: seed of the examples.
        stamps: folder of stamps; None for the Debian package's.
    """

    def __init__(self, split: AudioSplit, *, seed: int, stamps: Path | None = None) -> None:
        self.split, self.seed = split, seed
        collection = collect_assets(stamps)
        held_out = splits.split_assets(collection, 0)
        self.categories = tuple(category.name for category in splits.asset_pool(collection, held_out, "train").targets)
        """Names of the K training categories."""
        source = "test-new-sound" if split == "held-out" else "train"
        self.sources = splits.asset_pool(collection, held_out, source).targets
        self._indices = {name: index for index, name in enumerate(self.categories)}

    def batch(self, numbers: Iterable[int]) -> TaggingBatch:
        """Draw the examples of these numbers."""
        examples = [self._draw(number) for number in numbers]
        samples, tags, positions = (np.stack(part) for part in zip(*examples, strict=True))
        return TaggingBatch(
            log_mel=log_mel(torch.from_numpy(samples).transpose(1, 2)),
            tags=torch.from_numpy(tags),
            positions=torch.from_numpy(positions),
        )

    def _draw(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw (15600, 2) samples, (K,) tags and (K,) positions."""
        rng = np.random.default_rng([self.seed, _SPLITS.index(self.split), number])
        second = int(rng.integers(1, FRAMES[1] if rng.random() < LONG else FRAMES[0]))
        start = EXAMPLE_FRAMES * HOP * second
        # The example begins in the second before its own, so two seconds suffice.
        offset = (second - 1) * AUDIO_RATE
        tags = np.zeros(len(self.categories), dtype=bool)
        positions = np.zeros(len(self.categories), dtype=np.float32)
        mix = np.zeros((2 * AUDIO_RATE, 2), dtype=np.float32)
        count = min(int(rng.choice(len(_SOURCE_PROBS), p=_SOURCE_PROBS)), len(self.sources))
        for index in rng.permutation(len(self.sources))[:count]:
            category = self.sources[index]
            track, audible = _track(category, second, rng)
            position = rng.random()
            path = np.clip([position + rng.uniform(-_DRIFT, _DRIFT), position], 0.0, 1.0)
            mix += audio.pan_stereo(track[offset:], path)
            if audible:
                tags[self._indices[category.name]] = True
                positions[self._indices[category.name]] = position
        if count == 0 and rng.random() < 0.6:
            mix += audio.draw_noise(2, 10 ** (rng.uniform(*_NOISE) / 20), rng)
        if rng.random() < 0.5:
            mix += audio.draw_noise(2, 10 ** (rng.uniform(*_HISS) / 20), rng)
        mix /= max(1.0, float(np.abs(mix).max()) / 0.99)
        return mix[start - offset : start - offset + EXAMPLE_SAMPLES], tags, positions


def _track(category: Category, second: int, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """Compose a track up to a second, and tell whether the category is audible in that second."""
    recording = category.recordings[int(rng.integers(len(category.recordings)))]
    level = audio.LEVEL * 10 ** (rng.uniform(HARD.gains, 0.0) / 20)
    active = np.zeros(second + 1, dtype=bool)
    active[second - 1 :] = rng.random() < 0.5, True
    samples = _change_speed(audio.read_recording(recording.path), rng.uniform(*_SPEEDS))
    track = audio.play_recording(samples, active, rng) * np.float32(level / audio.LEVEL)
    audible, track = audio.audible_seconds(track, level)
    return track, bool(audible[second])


def _change_speed(samples: np.ndarray, speed: float) -> np.ndarray:
    """Change duration and pitch by a factor."""
    times = np.arange(int(len(samples) / speed)) * speed
    return np.interp(times, np.arange(len(samples)), samples).astype(np.float32)
