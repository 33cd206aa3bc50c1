"""Extensions of AuralFuser by this package: input standardisation, frame-wise attention, coarse masks.

They are in neither the paper nor the released code. `config.ExtensionsConfig` switches them on;
docs/concepts/fuser.md describes them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

Sides = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Linear = tuple[torch.Tensor, torch.Tensor]
Linears = tuple[Linear, Linear, Linear]

MIN_DEVIATION = 1e-3
"""Channels with a smaller standard deviation are centred, but not scaled."""
COARSE_MASK_TEMPERATURE = 0.1
"""Divides similarities: logits up to 10, as large as those of the masks that SAM 2's prompt encoder reads."""


class ChannelStandardizer(nn.Module):
    """(x − mean) / deviation of each channel, by fixed statistics measured before training.

    The statistics are buffers. Folded into the next layer, they would make its weights tens of times smaller than the
    step sizes of Adam suit.

    Args:
        width: channels.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    @torch.no_grad()
    def measure(self, values: torch.Tensor) -> None:
        """Set the statistics to those of a sample, (N, width, ...)."""
        channels = values.float().transpose(0, 1).flatten(1)
        deviation = channels.std(1)
        self.mean.copy_(channels.mean(1))
        self.deviation.copy_(torch.where(deviation > MIN_DEVIATION, deviation, 1.0))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Standardise (N, width, ...)."""
        shape = (-1, *[1] * (values.dim() - 2))
        return (values - self.mean.view(shape)).div_(self.deviation.view(shape))


def framewise_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int) -> torch.Tensor:
    """Compute multi-head attention of queries (B, P, L') to keys and values (B, Q, L') and a zero key and value.

    The zero key lets a query attend to nothing: with a single key a softmax is always 1.
    """
    q, k, v = (side.unflatten(2, (heads, -1)).transpose(1, 2) for side in (query, key, value))
    k, v = (F.pad(side, (0, 0, 0, 1)) for side in (k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def framewise_cross_attention(visual: Sides, tokens: Sides, heads: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend between the pixels of frame t and audio token t, and between all pixels and the other tokens.

    Args:
        visual: query, key and value of the visual side, (T, L', P) each.
        tokens: query, key and value of the token side, (N, L', 1) each; the first T rows are the audio of the frames.
        heads: a divisor of L'.

    Returns:
        (T, L', P) and (N, L', 1).
    """
    q_v, k_v, v_v = (side.transpose(1, 2) for side in visual)
    frames = len(q_v)
    q_a, k_a, v_a = (side[:frames].transpose(1, 2) for side in tokens)
    q_w, k_w, v_w = (side[frames:].transpose(1, 2).transpose(0, 1).expand(frames, -1, -1) for side in tokens)
    mixed_v = framewise_attention(q_v, torch.cat([k_a, k_w], 1), torch.cat([v_a, v_w], 1), heads)
    mixed_a = framewise_attention(torch.cat([q_a, q_w], 1), k_v, v_v, heads)
    audio, shared = mixed_a[:, :1], mixed_a[:, 1:].mean(0)
    return mixed_v.transpose(1, 2), torch.cat([audio[:, 0], shared])[:, :, None]


def gated_cross_attention(
    pixels: torch.Tensor, visual: Linears, tokens: Sides, output: Linear, heads: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute `framewise_cross_attention` of frames with one token each, without projecting the pixels.

    A softmax over one key and the zero key is a logistic function, and the score of a pixel x is
    (W_q x + b_q) · k = x · W_qᵀ k + b_q · k. So each frame needs a vector for each head in place of a projection of all
    its pixels. The values of the pixels are projected after their weighted sum, and that of the token before it is
    spread over the pixels: products of h · w rows with C × heads numbers instead of C × L'.

    Args:
        pixels: x, (T, P, C).
        visual: weights (L', C) and biases (L',) of the query, key and value of the pixels.
        tokens: query, key and value of the tokens, (T, L') each.
        output: weight (L, L') and bias (L,) of the layer after the attention of the pixels.
        heads: a divisor of L'.

    Returns:
        that layer's output (T, P, L), and the attention of the tokens (T, L').
    """
    (w_q, b_q), (w_k, b_k), (w_v, b_v) = (
        (weight.unflatten(0, (heads, -1)), bias.unflatten(0, (heads, -1))) for weight, bias in visual
    )
    q_a, k_a, v_a = (side.unflatten(1, (heads, -1)) for side in tokens)
    scale = q_a.shape[2] ** -0.5
    directions = torch.cat([torch.einsum("hdc,thd->thc", w, a) for w, a in ((w_q, k_a), (w_k, q_a))], 1)
    offsets = torch.cat([(b * a).sum(2) for b, a in ((b_q, k_a), (b_k, q_a))], 1)
    scores = torch.baddbmm(offsets[:, None], pixels, directions.transpose(1, 2), beta=scale, alpha=scale)
    gate, sought = scores.split(heads, 2)
    weight, bias = output
    spread = torch.einsum("lhd,thd->thl", weight.unflatten(1, (heads, -1)), v_a)
    mixed = torch.baddbmm(bias, gate.sigmoid(), spread)
    shares = F.pad(sought, (0, 0, 0, 1)).softmax(1)[:, :-1]
    means = shares.transpose(1, 2) @ pixels
    values = torch.einsum("hdc,thc->thd", w_v, means) + b_v * shares.sum(1)[..., None]
    return mixed, values.flatten(1)


def framewise_token_mask(count: int, frames: int, device: torch.device) -> torch.Tensor:
    """Build the self-attention mask (N, N) bool that keeps T frames independent; row: query, column: key.

    All tokens attend to the tokens behind the first T; an audio token attends to itself too.
    """
    allowed = torch.ones(count, count, dtype=torch.bool, device=device)
    allowed[:, :frames] = False
    allowed.fill_diagonal_(True)
    return allowed


def coarse_mask(visual: torch.Tensor, audio: torch.Tensor, grid: tuple[int, ...]) -> torch.Tensor:
    """Compute mask logits (T, h, w) from the similarity of e_v (T, h·w, projection) with e_a (T, 1, projection) of Eq.

    7.
    """
    return (visual @ audio.transpose(1, 2))[..., 0].unflatten(1, grid) / COARSE_MASK_TEMPERATURE
