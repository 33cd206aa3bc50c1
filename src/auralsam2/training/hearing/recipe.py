"""The recipe of the tagging of sounds: what a YAML file says, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auralsam2.config import AudioEncoderConfig
from auralsam2.errors import ConfigError
from auralsam2.training.recipe import read_into


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides the weights, and where they go.

    Attributes:
        out: folder of the log, the checkpoint and, at the end, the model.
        stamps: folder of stamps; None for the Debian package's.
        seed: of the weights and the sounds.
        encoder: shape of the encoder.
        steps: how many.
        batch: examples in a step.
        rate: AdamW's highest learning rate; it rises over `warm_up` steps and falls to 0 as a cosine.
        warm_up: steps.
        decay: weight decay.
        clip_norm: longest gradient.
        place: weight of telling the place.
        save_every, log_every, test_every: steps.
        test_examples: fresh examples of the tests along the way.
        final_examples: examples of each of the last tests.
    """

    out: str
    stamps: str | None = None
    seed: int = 0
    encoder: AudioEncoderConfig = field(default_factory=AudioEncoderConfig)
    steps: int
    batch: int = 32
    rate: float = 1e-3
    warm_up: int = 50
    decay: float = 0.01
    clip_norm: float = 5.0
    place: float = 10.0
    save_every: int = 100
    log_every: int = 20
    test_every: int = 200
    test_examples: int = 256
    final_examples: int = 1024

    def __post_init__(self) -> None:
        names = ("steps", "batch", "save_every", "log_every", "test_every", "test_examples", "final_examples")
        for name in names:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)} must be positive")


def read(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: YAML.
        changes: `key=value`, dots between the parts of a key, as in `encoder.hidden=64`; values are YAML too.

    Raises:
        UsageError: the file is missing or may not be read, or a change is none.
        ConfigError: no YAML, an unknown key, or a value that makes no sense.
    """
    return read_into(Recipe, path, changes)
