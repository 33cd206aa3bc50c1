"""Adapter building blocks shared by the baselines: audio input, bottleneck, text attention."""

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
"""Heads of the attention to text, which the original papers do not have."""


class AudioInput(nn.Module):
    """Audio input of the adapters, from audio tokens.

    The originals take one channel. By default, the embeddings of left and right channel are averaged: for a mono track
    the mean equals either.

    Args:
        embedding: E, width of the embedding of one channel.
        stereo: concatenate both channels instead.
        standardize_inputs: standardise by statistics measured before training.
    """

    def __init__(self, embedding: int, *, stereo: bool, standardize_inputs: bool) -> None:
        super().__init__()
        self.stereo = stereo
        self.width = 2 * embedding if stereo else embedding
        self.standard = ChannelStandardizer(self.width) if standardize_inputs else None

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map audio tokens (T, 2E), left and right, to (T, E), or to (T, 2E) with `stereo`."""
        selected = self.select(tokens)
        return selected if self.standard is None else self.standard(selected)

    def select(self, tokens: torch.Tensor) -> torch.Tensor:
        """Select or average channels, without standardisation."""
        return tokens if self.stereo else tokens.unflatten(1, (2, -1)).mean(1)


class Bottleneck(nn.Module):
    """up(attend_text(act(down(x) + audio))), from `width` channels through `inner` ones."""

    def __init__(self, width: int, inner: int, act: nn.Module) -> None:
        super().__init__()
        self.down, self.act, self.up = nn.Linear(width, inner), act, nn.Linear(inner, width)

    def forward(
        self,
        tokens: torch.Tensor,
        audio: torch.Tensor | None = None,
        attend_text: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Compute the residual of an adapter.

        Args:
            tokens: (T, ..., width).
            audio: (T, inner), projected audio of each frame, if it enters here.
            attend_text: from (T, ..., inner) to the same shape, attention to text.

        Returns:
            (T, ..., width).
        """
        hidden = self.down(tokens)
        if audio is not None:
            hidden = hidden + audio.view(len(audio), *[1] * (hidden.dim() - 2), -1)
        hidden = self.act(hidden)
        return self.up(hidden if attend_text is None else attend_text(hidden))


class TextAttention(nn.Module):
    """h + attention(q = h, k = v = text)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, HEADS, batch_first=True)

    def forward(self, hidden: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Attend from (T, ..., w) to n text tokens without padding, (n, w); return (T, ..., w)."""
        queries = hidden.flatten(0, -2)[None]
        attended, _ = self.attention(queries, text[None], text[None], need_weights=False)
        return hidden + attended[0].view_as(hidden)


@dataclass(frozen=True, slots=True)
class PassContext:
    """Conditions of one pass of the image encoder.

    Audio input (T, E), and projected text tokens (n, w) without padding.
    """

    audio: torch.Tensor
    text: torch.Tensor | None


class Adapters(nn.Module):
    """Adapters of a baseline, its trained part beside the tuned modules of SAM 2.

    Args:
        config: configuration of the model.
        width: w, channels of the bottlenecks, in which text is attended to.
        stereo, standardize_inputs: options of the audio input.
    """

    def __init__(self, config: ModelConfig, width: int, *, stereo: bool, standardize_inputs: bool) -> None:
        super().__init__()
        self.audio_input = AudioInput(
            config.audio_encoder.embedding, stereo=stereo, standardize_inputs=standardize_inputs
        )
        self.text_projection = nn.Linear(config.fuser.text_width, width) if config.text is not None else None
        self._context: PassContext | None = None

    @abstractmethod
    def trainable_modules(self, sam2: Sam2VideoModel) -> tuple[str, ...]:
        """Return the names of the modules of SAM 2 that are tuned, in a copy."""

    @abstractmethod
    def attach(self, sam2: Sam2VideoModel) -> None:
        """Attach the adapters to a SAM 2 permanently; see `attachment.weight_sharing_copy`."""

    @abstractmethod
    def prompts(self, audio: torch.Tensor) -> FeaturePrompts:
        """Return the feature prompts for audio input (T, E) of T frames."""

    @contextlib.contextmanager
    def conditioned_on(self, audio: torch.Tensor, text: torch.Tensor | None) -> Iterator[None]:
        """Set the conditions of the image encoder passes inside the `with` block.

        `audio` is the output of `audio_input`, (T, E); `text` are text features (n, width) without padding, if the
        baseline reads text.
        """
        projected = None if self.text_projection is None or text is None else self.text_projection(text)
        self._context = PassContext(audio, projected)
        try:
            yield
        finally:
            self._context = None

    def attend_text(self, hidden: torch.Tensor, attention: nn.Module | None) -> torch.Tensor:
        """Attend from (T, ..., w) to the text of the pass, if there is any."""
        text = self.context.text
        return hidden if attention is None or text is None else attention(hidden, text)

    @property
    def context(self) -> PassContext:
        """Conditions of the current pass."""
        assert self._context is not None, "adapters need `conditioned_on`"
        return self._context


def zero_init(last: nn.Linear) -> None:
    """Initialise the last layer of an adapter to zero; the layers before it learn from the second step on."""
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
