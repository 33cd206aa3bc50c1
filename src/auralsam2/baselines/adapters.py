"""What the baselines are made of: the ear, bottlenecks that read text or not, and what they are told in one pass."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from transformers import Sam2VideoModel

from auralsam2.config import ModelConfig
from auralsam2.modeling.extensions import ChannelStandardizer
from auralsam2.types import FeaturePrompts

HEADS = 4
"""Of the attention to text; the papers of the originals know none."""


class AudioInput(nn.Module):
    """What a baseline takes of the tokens of sound.

    The originals hear one channel, so that by default the vectors of left and right are averaged: of a sound that is
    the same in both, the mean is the vector of either.

    Args:
        embedding: E, width of the vector of one channel.
        stereo: both side by side instead.
        standardize_inputs: standardise by statistics measured before training.
    """

    def __init__(self, embedding: int, *, stereo: bool, standardize_inputs: bool) -> None:
        super().__init__()
        self.stereo = stereo
        self.width = 2 * embedding if stereo else embedding
        self.standard = ChannelStandardizer(self.width) if standardize_inputs else None

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(T, 2E), left and right, to (T, E), or to (T, 2E) where both are heard."""
        heard = self.select(tokens)
        return heard if self.standard is None else self.standard(heard)

    def select(self, tokens: torch.Tensor) -> torch.Tensor:
        """The same before it is standardised."""
        return tokens if self.stereo else tokens.unflatten(1, (2, -1)).mean(1)


class Bottleneck(nn.Module):
    """up(read(act(down(x) + more))).

    Args:
        width: channels of x and of the result.
        inner: channels between.
        act: the activation.
    """

    def __init__(self, width: int, inner: int, act: nn.Module) -> None:
        super().__init__()
        self.down, self.act, self.up = nn.Linear(width, inner), act, nn.Linear(inner, width)

    def forward(
        self,
        tokens: torch.Tensor,
        more: torch.Tensor | None = None,
        read: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """What is to be added.

        Args:
            tokens: (T, ..., width).
            more: (T, inner), sound, where it is heard here.
            read: from (T, ..., inner) to the same shape, where text is read here.

        Returns:
            (T, ..., width).
        """
        hidden = self.down(tokens)
        if more is not None:
            hidden = hidden + more.view(len(more), *[1] * (hidden.dim() - 2), -1)
        hidden = self.act(hidden)
        return self.up(hidden if read is None else read(hidden))


class TextAttention(nn.Module):
    """h + attention(q = h, k = v = text)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, HEADS, batch_first=True)

    def forward(self, hidden: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """(T, ..., w) and the n words without pads, (n, w), to (T, ..., w)."""
        queries = hidden.flatten(0, -2)[None]
        read, _ = self.attention(queries, text[None], text[None], need_weights=False)
        return hidden + read[0].view_as(hidden)


@dataclass(frozen=True, slots=True)
class PassContext:
    """What the adapters are told in one pass of the image encoder.

    Attributes:
        audio: (T, E), of the frames in the pass.
        text: (n, w), projected words without pads; None where nothing is read.
    """

    audio: torch.Tensor
    text: torch.Tensor | None


class Adapters(nn.Module):
    """The trained part of a baseline, beside what it trains of SAM 2 itself.

    Args:
        config: of the model.
        width: w, of the bottlenecks, in which text is read.
        stereo, standardize_inputs: of the audio input.
    """

    def __init__(self, config: ModelConfig, width: int, *, stereo: bool, standardize_inputs: bool) -> None:
        super().__init__()
        self.ear = AudioInput(config.audio_encoder.embedding, stereo=stereo, standardize_inputs=standardize_inputs)
        self.text_projection = nn.Linear(config.fuser.text_width, width) if config.text is not None else None
        self._told: PassContext | None = None

    @abstractmethod
    def own(self, sam2: Sam2VideoModel) -> tuple[str, ...]:
        """Names of the modules of SAM 2 of which a copy learns."""

    @abstractmethod
    def attach(self, sam2: Sam2VideoModel) -> None:
        """Hang the adapters into a SAM 2, for good; see `blocks.twin`."""

    @abstractmethod
    def prompts(self, audio: torch.Tensor) -> FeaturePrompts:
        """What the mask decoder is told of (T, E), the sound of T frames."""

    @contextlib.contextmanager
    def told(self, audio: torch.Tensor, text: torch.Tensor | None) -> Iterator[None]:
        """Around a pass of the image encoder.

        Args:
            audio: (T, E) from `ear`, of the frames that pass.
            text: (n, width) words without pads, where the baseline reads text.
        """
        words = None if self.text_projection is None or text is None else self.text_projection(text)
        self._told = PassContext(audio, words)
        try:
            yield
        finally:
            self._told = None

    def read(self, hidden: torch.Tensor, attention: nn.Module | None) -> torch.Tensor:
        """(T, ..., w) with what is said now in it, where something is said."""
        words = self.now.text
        return hidden if attention is None or words is None else attention(hidden, words)

    @property
    def now(self) -> PassContext:
        """What was told for the pass under way."""
        assert self._told is not None, "adapters work inside `told` alone"
        return self._told


def zero_init(last: nn.Linear) -> None:
    """Set the last layer of an adapter to zero; what lies before it learns from the second step on."""
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
