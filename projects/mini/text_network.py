"""Text encoder in training: RoBERTa as a masked language model, with linear heads that classify a sentence's claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from transformers import RobertaConfig, RobertaForMaskedLM

from auralsam2.errors import ConfigError
from auralsam2.stampavs.expressions import HEARINGS, PLACES, Claim
from projects.mini.stage_loop import Recipe, Schedule
from projects.mini.text_tokeniser import SPECIAL

PARTS = ("name", "place", "hearing")
"""Classified parts of a claim. Its verb follows from the name."""
IGNORED = -100
"""Target that the losses ignore."""
_POSITIONS = 64


@dataclass(frozen=True, kw_only=True)
class TextRecipe(Schedule, Recipe):
    """Settings of the run.

    Attributes:
        vocabulary: maximum number of tokens; smaller where the words of the sentences need fewer.
        tokeniser_scenes: number of scenes whose sentences train the tokeniser.
        width: width of the features, a multiple of `heads`.
        layers, heads: of the encoder.
        feed_forward: width of the feed-forward layers.
        scenes: scenes in a step.
        expressions: maximum number of sentences of a scene that refer to an object.
        null_expressions: maximum number of sentences of a scene that refer to no object.
        mask_prob: probability of masking a token.
        split_prob: probability of splitting a longer token; see `encode_sentence`.
        claim_weight: weight of the claim losses; that of masked tokens is 1.
        test_scenes: held-out scenes of each test during training.
        final_scenes: held-out scenes of the final test.
    """

    vocabulary: int = 1600
    tokeniser_scenes: int = 400
    width: int = 128
    layers: int = 3
    heads: int = 4
    feed_forward: int = 512
    scenes: int = 4
    expressions: int = 10
    null_expressions: int = 5
    mask_prob: float = 0.15
    split_prob: float = 0.15
    claim_weight: float = 1.0
    test_scenes: int = 20
    final_scenes: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_positive("vocabulary", "tokeniser_scenes", "width", "layers", "heads", "feed_forward", "steps")
        self.check_positive("scenes", "expressions", "test_scenes", "final_scenes")
        if self.width % self.heads:
            raise ConfigError(f"width {self.width} must be a multiple of heads, {self.heads}")
        if not 0 < self.mask_prob < 1 or not 0 <= self.split_prob < 1:
            raise ConfigError(
                f"mask_prob {self.mask_prob} must be between 0 and 1, and split_prob {self.split_prob} in [0, 1)"
            )


@dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """B sentences of at most N tokens.

    Attributes:
        tokens: (B, N) int64.
        masked: (B, N) int64, the tokens with some of them masked.
        token_targets: (B, N) int64, the original token at masked positions, `IGNORED` elsewhere.
        claim_targets: (B, 3) int64, class of each of `PARTS`: 0 for none, `IGNORED` for a name outside training.
    """

    tokens: torch.Tensor
    masked: torch.Tensor
    token_targets: torch.Tensor
    claim_targets: torch.Tensor


class TextReader(nn.Module):
    """RoBERTa with a linear head for each part of a claim; `names` are those of the training sentences."""

    def __init__(self, recipe: TextRecipe, vocabulary: int, names: Sequence[str]) -> None:
        super().__init__()
        config = RobertaConfig(
            vocab_size=vocabulary,
            hidden_size=recipe.width,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            intermediate_size=recipe.feed_forward,
            max_position_embeddings=_POSITIONS,
            type_vocab_size=1,
            # Each step has new sentences, so dropout is not needed against overfitting.
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            layer_norm_eps=1e-5,
            bos_token_id=SPECIAL.index("<s>"),
            pad_token_id=SPECIAL.index("<pad>"),
            eos_token_id=SPECIAL.index("</s>"),
        )
        self.language = RobertaForMaskedLM(config)
        self.classes: dict[str, tuple[str, ...]] = {
            "name": tuple(names),
            "place": tuple(PLACES),
            "hearing": tuple(HEARINGS),
        }
        self.heads = nn.ModuleDict({part: nn.Linear(recipe.width, 1 + len(self.classes[part])) for part in PARTS})

    def targets(self, claim: Claim) -> list[int]:
        """Return the classes of a claim in the order of `PARTS`; see `TokenBatch.claim_targets`."""
        return [self._target(part, getattr(claim, part)) for part in PARTS]

    def _target(self, part: str, value: str | None) -> int:
        if value is None:
            return 0
        return self.classes[part].index(value) + 1 if value in self.classes[part] else IGNORED

    def features(self, tokens: torch.Tensor) -> torch.Tensor:
        """Average the last hidden states over the tokens that are not padding: (B, N) int64 to (B, width)."""
        present = tokens != self.language.config.pad_token_id
        states = self.language.roberta(tokens, attention_mask=present.long()).last_hidden_state
        return (states * present[..., None]).sum(1) / present.sum(1, keepdim=True)

    def classify(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        """Map (B, width) to logits (B, classes) of each part."""
        return {part: self.heads[part](features) for part in PARTS}

    def predict_tokens(self, masked: torch.Tensor) -> torch.Tensor:
        """Map (B, N) int64 to logits (B, N, vocabulary)."""
        present = masked != self.language.config.pad_token_id
        return self.language(masked, attention_mask=present.long()).logits

    def losses(self, batch: TokenBatch) -> dict[str, torch.Tensor]:
        """Compute the cross-entropies, scalars: "masked" and each of `PARTS`."""
        logits = self.predict_tokens(batch.masked).flatten(0, 1)
        # A sum over a count: a batch without masked tokens gives 0, where a mean would be 0 / 0.
        count = (batch.token_targets != IGNORED).sum().clamp(min=1)
        masked = functional.cross_entropy(logits, batch.token_targets.flatten(), ignore_index=IGNORED, reduction="sum")
        classes = self.classify(self.features(batch.tokens))
        parts = {
            part: functional.cross_entropy(classes[part], batch.claim_targets[:, i]) for i, part in enumerate(PARTS)
        }
        return {"masked": masked / count, **parts}
