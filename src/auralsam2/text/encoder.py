"""Words to features: a frozen RoBERTa from transformers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer

from auralsam2.errors import UnavailableError

MAX_TOKENS = 25


class TextEncoder(nn.Module):
    """The last hidden state of 25 positions, pads included, as the released model reads an expression.

    Args:
        folder: encoder and tokeniser in transformers' format.

    Raises:
        UnavailableError: the folder holds no such encoder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        try:
            self.tokeniser = AutoTokenizer.from_pretrained(folder)
            model = AutoModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32)
            self.model = model.eval().requires_grad_(False)
        except (OSError, ValueError) as error:
            raise UnavailableError(
                f"{folder}: no text encoder with tokeniser ({str(error).splitlines()[0]})"
            ) from error

    @torch.no_grad()
    def forward(self, text: str) -> torch.Tensor:
        """Encode one expression.

        Args:
            text: any length; what goes beyond 25 tokens is cut off.

        Returns:
            (25, width) float32.
        """
        return self._read(text)[0]

    @torch.no_grad()
    def words(self, text: str) -> torch.Tensor:
        """The same without pads: (n, width), 2 <= n <= 25, first and last token included."""
        states, real = self._read(text)
        return states[real]

    def _read(self, text: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(25, width) float32, and which of the positions are no pads, (25,) bool."""
        batch = self.tokeniser(
            text, padding="max_length", truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        ).to(self.model.device)
        return self.model(**batch).last_hidden_state[0], batch["attention_mask"][0].bool()
