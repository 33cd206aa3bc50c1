"""Text encoder: a frozen RoBERTa of transformers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from auralsam2.errors import ConfigError
from auralsam2.utils.pretrained import check_config, load_outline, load_part, pretrained_errors

MAX_TOKENS = 25


class TextEncoder(nn.Module):
    """Last hidden state of 25 positions, padding included, as in the released model.

    Args:
        folder: encoder and tokeniser in transformers' format.

    Raises:
        UnavailableError: the folder contains no such encoder, or its files are damaged.
        ConfigError: its configuration is out of range, weights are missing or not finite, or the tokeniser belongs to
            another encoder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        with pretrained_errors(folder, "text encoder with tokeniser"):
            large = check_config(folder)
            self.tokeniser = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            if large:
                load_outline(lambda: AutoModel.from_config(config, trust_remote_code=False), folder)
            # The pooler is unused, and encoders trained on masked tokens have none.
            self.model = load_part(AutoModel, folder, config, optional=("pooler.",))
            if max(self.tokeniser.get_vocab().values()) >= config.vocab_size:
                raise ConfigError(f"{folder}: the tokeniser knows more tokens than the encoder's {config.vocab_size}")
            if not self("the object making a sound").isfinite().all():
                raise ConfigError(f"{folder}: the text encoder's features are not finite; copy or download it again")

    @property
    def width(self) -> int:
        """Width of the features."""
        return self.model.config.hidden_size

    @torch.no_grad()
    def forward(self, text: str) -> torch.Tensor:
        """Encode one expression as (25, width) float32; tokens after the 25th are dropped."""
        return self._encode(text)[0]

    @torch.no_grad()
    def encode_unpadded(self, text: str) -> torch.Tensor:
        """Encode one expression without padding: (n, width), 2 <= n <= 25, with the first and last token."""
        states, unpadded = self._encode(text)
        return states[unpadded]

    def _encode(self, text: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features (25, width) float32, and a mask (25,) bool that is true where there is no padding."""
        batch = self.tokeniser(
            text, padding="max_length", truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        ).to(self.model.device)
        return self.model(**batch).last_hidden_state[0], batch["attention_mask"][0].bool()
