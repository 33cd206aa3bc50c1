"""The recipe of the reading stage: what a YAML file says, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from auralsam2.errors import ConfigError
from auralsam2.training.recipe import read_into


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides the weights, and where they go.

    Attributes:
        out: folder of the log, the checkpoint, the figures and, at the end, the model.
        stamps: folder of stamps; None for the Debian package's.
        seed: of the weights, the scenes, the masks and the cuts.
        vocabulary: most tokens; fewer where the words of the sentences need no more.
        listened: scenes whose sentences the tokeniser is made from.
        width: of the features; a multiple of `heads`.
        layers, heads, inner: of the encoder; `inner` is the width between two linear layers.
        steps: how many.
        scenes: in a step, each with up to `told` sentences that refer to an object and `nulls` that refer to none.
        masked: share of the tokens that are hidden and guessed.
        cut: share of the longer tokens that are spelled in two pieces; see `tokeniser.encode`.
        claims: weight of reading the claim beside that of guessing hidden tokens, which is 1.
        rate: AdamW's highest learning rate; it rises over `warm_up` steps and falls to 0 as a cosine.
        decay: weight decay.
        clip_norm: longest gradient.
        save_every, log_every, test_every: steps.
        test_scenes: held-out scenes of the tests along the way.
        final_scenes: held-out scenes of the last test.
    """

    out: str
    stamps: str | None = None
    seed: int = 0
    vocabulary: int = 1600
    listened: int = 400
    width: int = 128
    layers: int = 3
    heads: int = 4
    inner: int = 512
    steps: int
    scenes: int = 4
    told: int = 10
    nulls: int = 5
    masked: float = 0.15
    cut: float = 0.15
    claims: float = 1.0
    rate: float = 1e-3
    warm_up: int = 100
    decay: float = 0.01
    clip_norm: float = 1.0
    save_every: int = 200
    log_every: int = 50
    test_every: int = 500
    test_scenes: int = 20
    final_scenes: int = 100

    def __post_init__(self) -> None:
        for name in ("vocabulary", "width", "layers", "heads", "inner"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)} must be 1 or more")
        if self.width % self.heads:
            raise ConfigError(f"width {self.width} must be a multiple of heads, {self.heads}")
        if not 0 < self.masked < 1 or not 0 <= self.cut < 1:
            raise ConfigError(f"masked {self.masked} must lie between 0 and 1, and cut {self.cut} from 0 on below 1")
        counts = ("listened", "steps", "scenes", "told", "save_every", "log_every", "test_every", "test_scenes")
        for name in (*counts, "final_scenes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)} must be 1 or more")


def read(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: YAML.
        changes: `key=value`, as in `steps=200`; values are YAML too.

    Raises:
        UsageError: the file is missing or may not be read, or a change is none.
        ConfigError: no YAML, an unknown key, or a value that makes no sense.
    """
    return read_into(Recipe, path, changes)
