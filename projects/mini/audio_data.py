"""Single seconds of mixed sound to train and to test on, drawn by number.

Nothing is stored: example number i of a seed is always the same. A second is cut from a longer track, made and judged
audible as those of StampAVS are, so that it begins with the end of another sound, or with a rest, as often as there.
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

_PARTS = ("train", "fresh", "held-out")
_SOURCES = (0.2, 0.45, 0.35)
"""How often none, one or two things are to sound."""
_SPEEDS = (0.9, 1.1)
_DRIFT = 0.1
# As in the scenes of noise and in the hard ones, in dB below full scale.
_NOISE = (-32.0, -16.0)
_HISS = (-62.0, -46.0)


def tests(stamps: Path | None) -> tuple[AudioSplit, ...]:
    """The parts that a folder of stamps has something to test on: not all have a thing with two recordings."""
    collection = collect_assets(stamps)
    spare = "test-new-sound" in splits.possible_splits(collection, splits.split_assets(collection, 0))
    return ("fresh", "held-out") if spare else ("fresh",)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggingBatch:
    """N examples.

    Attributes:
        log_mel: (N, 2, 96, 64) float32.
        tags: (N, K) bool, which categories sound.
        places: (N, K) float32, where each comes from, 0 at the left, 1 at the right; 0 where it does not sound.
    """

    log_mel: torch.Tensor
    tags: torch.Tensor
    places: torch.Tensor


class TaggingSamples:
    """Examples by number.

    Args:
        part: "train" and "fresh" draw from the recordings that the splits leave for training, each in its own way;
            "held-out" from the recordings of the same categories that they keep from it.
        seed: another one, other examples.
        stamps: folder of stamps, None for the Debian package's.

    Raises:
        UnavailableError: the package is not installed.
        InputError: the folder does not have what the part needs.
    """

    def __init__(self, part: AudioSplit, *, seed: int, stamps: Path | None = None) -> None:
        self.part, self.seed = part, seed
        collection = collect_assets(stamps)
        held = splits.split_assets(collection, 0)
        self.kinds = tuple(category.name for category in splits.asset_pool(collection, held, "train").targets)
        """Names of the K categories that are trained."""
        split = "test-new-sound" if part == "held-out" else "train"
        self.sources = splits.asset_pool(collection, held, split).targets
        self._numbers = {name: number for number, name in enumerate(self.kinds)}

    def batch(self, numbers: Iterable[int]) -> TaggingBatch:
        """Draw the examples of these numbers."""
        drawn = [self._draw(number) for number in numbers]
        samples, tags, places = (np.stack(part) for part in zip(*drawn, strict=True))
        return TaggingBatch(
            log_mel=log_mel(torch.from_numpy(samples).transpose(1, 2)),
            tags=torch.from_numpy(tags),
            places=torch.from_numpy(places),
        )

    def _draw(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(15600, 2) samples, (K,) tags and (K,) places."""
        rng = np.random.default_rng([self.seed, _PARTS.index(self.part), number])
        second = int(rng.integers(1, FRAMES[1] if rng.random() < LONG else FRAMES[0]))
        cut = EXAMPLE_FRAMES * HOP * second
        # Only the seconds that the example touches are placed: it begins in the one before its own.
        tail = (second - 1) * AUDIO_RATE
        tags = np.zeros(len(self.kinds), dtype=bool)
        places = np.zeros(len(self.kinds), dtype=np.float32)
        total = np.zeros((2 * AUDIO_RATE, 2), dtype=np.float32)
        count = min(int(rng.choice(len(_SOURCES), p=_SOURCES)), len(self.sources))
        for index in rng.permutation(len(self.sources))[:count]:
            category = self.sources[index]
            track, heard = _track(category, second, rng)
            here = rng.random()
            way = np.clip([here + rng.uniform(-_DRIFT, _DRIFT), here], 0.0, 1.0)
            total += audio.pan_stereo(track[tail:], way)
            if heard:
                tags[self._numbers[category.name]] = True
                places[self._numbers[category.name]] = here
        if count == 0 and rng.random() < 0.6:
            total += audio.draw_noise(2, 10 ** (rng.uniform(*_NOISE) / 20), rng)
        if rng.random() < 0.5:
            total += audio.draw_noise(2, 10 ** (rng.uniform(*_HISS) / 20), rng)
        total /= max(1.0, float(np.abs(total).max()) / 0.99)
        return total[cut - tail : cut - tail + EXAMPLE_SAMPLES], tags, places


def _track(category: Category, second: int, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """A track up to a second in which the category is to sound, and whether it does; a recording may rest just then."""
    chosen = category.recordings[int(rng.integers(len(category.recordings)))]
    level = audio.LEVEL * 10 ** (rng.uniform(HARD.gains, 0.0) / 20)
    on = np.zeros(second + 1, dtype=bool)
    on[second - 1 :] = rng.random() < 0.5, True
    sped = _at_speed(audio.read_recording(chosen.path), rng.uniform(*_SPEEDS))
    played = audio.play_recording(sped, on, rng) * np.float32(level / audio.LEVEL)
    sounding, track = audio.audible_seconds(played, level)
    return track, bool(sounding[second])


def _at_speed(samples: np.ndarray, speed: float) -> np.ndarray:
    """The same, faster and higher, or slower and lower."""
    times = np.arange(int(len(samples) / speed)) * speed
    return np.interp(times, np.arange(len(samples)), samples).astype(np.float32)
