"""The encoder as it learns: RoBERTa that guesses hidden tokens, and linear heads that read the claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from transformers import RobertaConfig, RobertaForMaskedLM

from auralsam2.errors import ConfigError
from auralsam2.stampavs.expressions import HEARINGS, PLACES, Claim
from auralsam2.utils.yaml_files import read_config
from projects.mini.text_tokeniser import SPECIAL


@dataclass(frozen=True, kw_only=True)
class TextRecipe:
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


def read_text_recipe(path: Path, changes: Sequence[str] = ()) -> TextRecipe:
    """Read a recipe.

    Args:
        path: YAML.
        changes: `key=value`, as in `steps=200`; values are YAML too.

    Raises:
        UsageError: the file is missing or may not be read, or a change is none.
        ConfigError: no YAML, an unknown key, or a value that makes no sense.
    """
    return read_config(TextRecipe, path, changes)


PARTS = ("name", "place", "hearing")
"""What is read of a claim. Its verb is not: it is the name's, whether the sentence says it or not."""
UNKNOWN = -100
_POSITIONS = 64


@dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """B sentences of at most N tokens.

    Attributes:
        tokens: (B, N) int64, as they are.
        hidden: (B, N) int64, with some of them hidden.
        wanted: (B, N) int64, what was there where `hidden` is to be guessed, -100 elsewhere.
        said: (B, 3) int64, the answers in the order of `PARTS`, 0 for nothing said, -100 for a name never learned.
    """

    tokens: torch.Tensor
    hidden: torch.Tensor
    wanted: torch.Tensor
    said: torch.Tensor


class TextReader(nn.Module):
    """RoBERTa with a head for each part of a claim.

    Args:
        recipe: sizes.
        vocabulary: tokens.
        names: all that a sentence may call a thing.
    """

    def __init__(self, recipe: TextRecipe, vocabulary: int, names: Sequence[str]) -> None:
        super().__init__()
        config = RobertaConfig(
            vocab_size=vocabulary,
            hidden_size=recipe.width,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            intermediate_size=recipe.inner,
            max_position_embeddings=_POSITIONS,
            type_vocab_size=1,
            # Sentences never run out, so nothing is learned by heart that should not be.
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            layer_norm_eps=1e-5,
            bos_token_id=SPECIAL.index("<s>"),
            pad_token_id=SPECIAL.index("<pad>"),
            eos_token_id=SPECIAL.index("</s>"),
        )
        self.language = RobertaForMaskedLM(config)
        self.answers: dict[str, tuple[str, ...]] = {
            "name": tuple(names),
            "place": tuple(PLACES),
            "hearing": tuple(HEARINGS),
        }
        self.heads = nn.ModuleDict({part: nn.Linear(recipe.width, 1 + len(self.answers[part])) for part in PARTS})

    def said(self, claim: Claim) -> list[int]:
        """The answers to a claim, in the order of `PARTS`; see `Batch.said`."""
        return [self._number(part, getattr(claim, part)) for part in PARTS]

    def _number(self, part: str, value: str | None) -> int:
        if value is None:
            return 0
        return self.answers[part].index(value) + 1 if value in self.answers[part] else UNKNOWN

    def features(self, tokens: torch.Tensor) -> torch.Tensor:
        """The mean of the last hidden states without those of pads: (B, N) int64 to (B, width)."""
        there = tokens != self.language.config.pad_token_id
        states = self.language.roberta(tokens, attention_mask=there.long()).last_hidden_state
        return (states * there[..., None]).sum(1) / there.sum(1, keepdim=True)

    def read(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        """(B, width) to logits (B, answers) of each part, the first for nothing said."""
        return {part: self.heads[part](features) for part in PARTS}

    def guess(self, hidden: torch.Tensor) -> torch.Tensor:
        """(B, N) int64 to logits (B, N, vocabulary)."""
        there = hidden != self.language.config.pad_token_id
        return self.language(hidden, attention_mask=there.long()).logits

    def losses(self, batch: TokenBatch) -> dict[str, torch.Tensor]:
        """Cross-entropies, each a scalar: "masked" and the parts of the claim."""
        guessed = self.guess(batch.hidden).flatten(0, 1)
        # By the sum: a batch in which nothing was hidden counts nothing, where a mean would be 0 / 0.
        count = (batch.wanted != UNKNOWN).sum().clamp(min=1)
        masked = functional.cross_entropy(guessed, batch.wanted.flatten(), ignore_index=UNKNOWN, reduction="sum")
        read = self.read(self.features(batch.tokens))
        parts = {part: functional.cross_entropy(read[part], batch.said[:, i]) for i, part in enumerate(PARTS)}
        return {"masked": masked / count, **parts}
