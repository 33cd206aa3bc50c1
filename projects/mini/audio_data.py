"""One-second examples of mixed sounds for audio tagging.

An example follows from seed and number; nothing is stored. Each second is cut from a longer track, composed and checked
for audibility like the tracks of StampAVS. It may begin with the end of another sound or with a pause.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from auralsam2.modeling.log_mel import EXAMPLE_FRAMES, EXAMPLE_SAMPLES, HOP, log_mel
from auralsam2.stampavs import audio, splits
from auralsam2.stampavs.assets import Category, Recording, collect_assets
from auralsam2.stampavs.presets import HARD
from auralsam2.stampavs.recordings import RecordingFolder, add_recordings, read_recordings
from auralsam2.stampavs.scene import FRAMES, LONG
from auralsam2.types import AUDIO_RATE
from projects.mini.recordings import change_recording

AudioSplit = Literal["train", "fresh", "held-out"]

_SPLITS = ("train", "fresh", "held-out")
_SOURCE_PROBS = (0.2, 0.45, 0.35)
"""Probabilities of no, one and two sources."""
_SPEEDS = (0.9, 1.1)
_DRIFT = 0.1
# Levels in dB below full scale, as in the noise scenes and the hard scenes.
_NOISE = (-32.0, -16.0)
_HISS = (-62.0, -46.0)
_PLAIN_PROB = 0.5
"""Probability of an example of stamps alone where a folder adds recordings."""
_AMBIENT_PROB, _AMBIENT = 0.3, (-20.0, -5.0)
"""Probability of noise of a recording, and its level in dB below `stampavs.audio.LEVEL`."""


def final_splits(stamps: Path | None, recordings: Path | None = None) -> tuple[AudioSplit, ...]:
    """Splits on which the final test runs; "held-out" needs a category with two recordings, or `recordings`."""
    collection = collect_assets(stamps)
    spare = "test-new-sound" in splits.possible_splits(collection, splits.split_assets(collection, 0))
    return ("fresh", "held-out") if spare or recordings else ("fresh",)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggingBatch:
    """N examples with K categories.

    Log-mel spectrograms (N, 2, 96, 64), audible categories `tags` (N, K) bool, the horizontal position of each
    source, (N, K) float32 from 0 (left) to 1 (right), 0 where absent, and which examples are `plain`, (N,) bool:
    unchanged recordings of stamps.
    """

    log_mel: torch.Tensor
    tags: torch.Tensor
    positions: torch.Tensor
    plain: torch.Tensor


class TaggingSamples:
    """Examples by number.

    Args:
        split: "train" and "fresh" use the training recordings with different random streams, "held-out" those that the
            splits exclude from training.
        seed: seed of the examples.
        stamps: folder of stamps; None for the Debian package's.
        recordings: folder in the layout of RealAVS, which adds recordings of the same and of other kinds, and noises;
            categories that StampAVS holds out are left out. None for the stamps' recordings alone.
    """

    def __init__(
        self, split: AudioSplit, *, seed: int, stamps: Path | None = None, recordings: Path | None = None
    ) -> None:
        self.split, self.seed = split, seed
        collection = collect_assets(stamps)
        held_out = splits.split_assets(collection, 0)
        trained = splits.asset_pool(collection, held_out, "train").targets
        source = "test-new-sound" if split == "held-out" else "train"
        has_spare = split != "held-out" or bool(held_out.recordings) or recordings is None
        self.plain_sources: tuple[Category, ...] = ()
        if has_spare:
            self.plain_sources = splits.asset_pool(collection, held_out, source).targets
        self.noises: tuple[Recording, ...] = ()
        self.sources: tuple[Category, ...] = self.plain_sources
        names = tuple(category.name for category in trained)
        if recordings is not None:
            excluded = frozenset(splits.read_splits().categories)
            known = _read_folder(recordings, "train", excluded)
            names = tuple(category.name for category in add_recordings(trained, known))
            folder = known if split != "held-out" else _read_folder(recordings, "test", excluded)
            self.sources = tuple(one for one in add_recordings(self.plain_sources, folder) if one.name in names)
            self.noises = folder.noises
        self.categories = names
        """Names of the K training categories."""
        self._indices = {name: index for index, name in enumerate(self.categories)}

    def batch(self, numbers: Iterable[int]) -> TaggingBatch:
        """Draw the examples of these numbers."""
        examples = [self._draw(number) for number in numbers]
        samples, tags, positions, plain = (np.stack(part) for part in zip(*examples, strict=True))
        return TaggingBatch(
            log_mel=log_mel(torch.from_numpy(samples).transpose(1, 2)),
            tags=torch.from_numpy(tags),
            positions=torch.from_numpy(positions),
            plain=torch.from_numpy(plain),
        )

    def _draw(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Draw (15600, 2) samples, (K,) tags, (K,) positions, and whether the example is plain, () bool."""
        rng = np.random.default_rng([self.seed, _SPLITS.index(self.split), number])
        second = int(rng.integers(1, FRAMES[1] if rng.random() < LONG else FRAMES[0]))
        start = EXAMPLE_FRAMES * HOP * second
        # The example begins in the second before its own, so two seconds suffice.
        offset = (second - 1) * AUDIO_RATE
        tags = np.zeros(len(self.categories), dtype=bool)
        positions = np.zeros(len(self.categories), dtype=np.float32)
        mix = np.zeros((2 * AUDIO_RATE, 2), dtype=np.float32)
        extended = self.sources is not self.plain_sources
        plain = not extended or (self.split != "held-out" and rng.random() < _PLAIN_PROB)
        changed = not plain and self.split == "train"
        sources = self.plain_sources if plain else self.sources
        count = min(int(rng.choice(len(_SOURCE_PROBS), p=_SOURCE_PROBS)), len(sources))
        for index in rng.permutation(len(sources))[:count]:
            category = sources[index]
            track, audible = _track(category, second, rng)
            if changed:
                track[offset:] = change_recording(track[offset:], rng)
            position = rng.random()
            path = np.clip([position + rng.uniform(-_DRIFT, _DRIFT), position], 0.0, 1.0)
            mix += audio.pan_stereo(track[offset:], path)
            if audible:
                tags[self._indices[category.name]] = True
                positions[self._indices[category.name]] = position
        if count == 0 and rng.random() < 0.6:
            mix += audio.draw_noise(2, 10 ** (rng.uniform(*_NOISE) / 20), rng)
        if changed and self.noises and rng.random() < _AMBIENT_PROB:
            mix += self._ambient_noise(rng)
        if rng.random() < 0.5:
            mix += audio.draw_noise(2, 10 ** (rng.uniform(*_HISS) / 20), rng)
        mix /= max(1.0, float(np.abs(mix).max()) / 0.99)
        return mix[start - offset : start - offset + EXAMPLE_SAMPLES], tags, positions, np.array(plain)

    def _ambient_noise(self, rng: np.random.Generator) -> np.ndarray:
        """Draw two seconds of a noise, (32000, 2) float32, from both sides."""
        noise = audio.read_recording(self.noises[int(rng.integers(len(self.noises)))].path)
        samples = noise[(int(rng.integers(len(noise))) + np.arange(2 * AUDIO_RATE)) % len(noise)]
        level = np.float32(10 ** (rng.uniform(*_AMBIENT) / 20))
        return audio.pan_stereo(samples * level, np.full(2, rng.uniform(0.3, 0.7)))


@lru_cache(maxsize=4)
def _read_folder(folder: Path, split: Literal["train", "test"], excluded: frozenset[str]) -> RecordingFolder:
    return read_recordings(folder, split, excluded)


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
