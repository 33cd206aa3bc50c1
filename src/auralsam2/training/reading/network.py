"""The encoder as it learns: RoBERTa that guesses hidden tokens, and linear heads that read the claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from transformers import RobertaConfig, RobertaForMaskedLM

from auralsam2.data.stampavs.expressions import HEARINGS, PLACES, Claim
from auralsam2.training.reading.recipe import Recipe
from auralsam2.training.reading.tokeniser import SPECIAL

PARTS = ("name", "place", "hearing")
"""What is read of a claim. Its verb is not: it is the name's, whether the sentence says it or not."""
UNKNOWN = -100
_POSITIONS = 64


@dataclass(frozen=True, kw_only=True)
class Batch:
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


class Reader(nn.Module):
    """RoBERTa with a head for each part of a claim.

    Args:
        recipe: sizes.
        vocabulary: tokens.
        names: all that a sentence may call a thing.
    """

    def __init__(self, recipe: Recipe, vocabulary: int, names: Sequence[str]) -> None:
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

    def losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Cross-entropies, each a scalar: "masked" and the parts of the claim."""
        guessed = self.guess(batch.hidden).flatten(0, 1)
        # By the sum: a batch in which nothing was hidden counts nothing, where a mean would be 0 / 0.
        count = (batch.wanted != UNKNOWN).sum().clamp(min=1)
        masked = functional.cross_entropy(guessed, batch.wanted.flatten(), ignore_index=UNKNOWN, reduction="sum")
        read = self.read(self.features(batch.tokens))
        parts = {part: functional.cross_entropy(read[part], batch.said[:, i]) for i, part in enumerate(PARTS)}
        return {"masked": masked / count, **parts}
