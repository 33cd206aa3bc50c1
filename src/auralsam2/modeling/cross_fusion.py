"""Cross-modal fusion (Eq. 3 and 10): visual and audio-text tokens attend to each other.

Adapted by the authors from TPAVI (Zhou et al., ECCV 2022). The two variants share the projections and differ in the
attention and in the layers after it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from auralsam2.config import FuserConfig
from auralsam2.modeling.extensions import Linear, framewise_cross_attention, gated_cross_attention


class FusionOutput(NamedTuple):
    """Output of a fusion block.

    Attributes:
        visual: (T, h·w, L), fused visual tokens.
        tokens: (N, L), fused audio and text tokens.
        visual_residual: (T, h·w, L), the residual added to the visual input before the normalisation.
    """

    visual: torch.Tensor
    tokens: torch.Tensor
    visual_residual: torch.Tensor


def released_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: int) -> torch.Tensor:
    """Compute (Q Kᵀ / rows) V without a softmax, in the released code's memory layouts.

    The projections (frames, channels, positions) are reshaped row-major to rows of `channels` values, without a
    permutation: a row of the visual side is a run of positions of one channel, not a pixel. The result is transposed
    and reshaped row-major to the query's shape. The checkpoints were trained so; see docs/concepts/fuser.md.

    Args:
        query: (A, L', P).
        key: (B, L', Q).
        value: (B, L', Q).
        rows: divisor: T·h·w, the number of visual positions of the clip, on both sides.

    Returns:
        (A, L', P).
    """
    width = query.shape[1]
    q, k, v = (side.reshape(-1, width) for side in (query, key, value))
    mixed = (q @ k.T / rows) @ v
    return mixed.T.reshape(query.shape)


def softmax_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Compute softmax(Q Kᵀ / √L') V over all positions of all frames (Eq. 10).

    Q is (A, L', P), K and V are (B, L', Q); the result is (A, L', P).
    """
    q, k, v = (side.transpose(1, 2).flatten(0, 1)[None] for side in (query, key, value))
    mixed = F.scaled_dot_product_attention(q, k, v)[0]
    return mixed.unflatten(0, (query.shape[0], -1)).transpose(1, 2)


def pointwise(conv: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """Apply a convolution of kernel 1 to tokens (..., C) as a matrix product, which is faster on a CPU: (..., C')."""
    return F.linear(rows, *pointwise_weights(conv))


def pointwise_weights(conv: nn.Module) -> Linear:
    """Return weight (C', C) and bias (C',) of a convolution of kernel 1."""
    return conv.get_parameter("weight").flatten(1), conv.get_parameter("bias")


class ChannelMLP(nn.Sequential):
    """1×1 convolution L' → L, GELU, 1×1 convolution L → L: the output projection of the paper's fusion."""

    def __init__(self, inner: int, width: int) -> None:
        super().__init__(nn.Conv1d(inner, width, 1), nn.GELU(), nn.Conv1d(width, width, 1))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map (B, L', P) to (B, L, P)."""
        first, act, last = self
        return pointwise(last, act(pointwise(first, tokens.transpose(1, 2)))).transpose(1, 2)


class CrossFusion(nn.Module):
    """Fusion block of one level, with the parameter names and kernel shapes of the released checkpoints.

    Args:
        config: configuration of the fuser.
        framewise: attend within frames only; see `ExtensionsConfig.attention_scope`. It omits the batch normalisation
            before the output, which over one short clip would remove constant sounds.
    """

    def __init__(self, config: FuserConfig, *, framewise: bool = False) -> None:
        super().__init__()
        width, inner = config.width, config.inner_width
        self.released, self.framewise, self.heads = config.variant == "released", framewise, config.heads
        self.align_channel = nn.Conv1d(width, width, 1)
        self.q_frame, self.k_frame, self.v_frame = (nn.Conv3d(width, inner, 1) for _ in range(3))
        self.q_audio, self.k_audio, self.v_audio = (nn.Conv1d(width, inner, 1) for _ in range(3))
        if self.released:
            norm_v, norm_a = nn.BatchNorm3d(width), nn.BatchNorm1d(width)
            for norm in (norm_v, norm_a):
                # With a zero scale the block is the identity at first, up to the LayerNorm.
                nn.init.zeros_(norm.weight)
            self.W_z = nn.Sequential(nn.Conv3d(inner, width, 1), norm_v)
            self.W_z2 = nn.Sequential(nn.Conv1d(inner, width, 1), norm_a)
        elif framewise:
            self.W_z, self.W_z2 = ChannelMLP(inner, width), ChannelMLP(inner, width)
        else:
            self.W_z = nn.Sequential(nn.BatchNorm1d(inner), ChannelMLP(inner, width))
            self.W_z2 = nn.Sequential(nn.BatchNorm1d(inner), ChannelMLP(inner, width))
        self.norm_layer = nn.LayerNorm(width)
        self.norm_layer2 = nn.LayerNorm(width)

    def forward(self, visual: torch.Tensor, tokens: torch.Tensor) -> FusionOutput:
        """Fuse both sides; each attends to the input of the other, not to its output.

        Args:
            visual: (T, h·w, L).
            tokens: (N, L).
        """
        aligned = self.align_channel(tokens.unsqueeze(2))
        if self.framewise and len(tokens) == len(visual):
            return self._gate(visual, aligned)
        frames = visual.transpose(1, 2)
        q_v, k_v, v_v = (pointwise(conv, visual).transpose(1, 2) for conv in (self.q_frame, self.k_frame, self.v_frame))
        q_a, k_a, v_a = (conv(aligned) for conv in (self.q_audio, self.k_audio, self.v_audio))
        if self.released:
            rows = q_v.shape[0] * q_v.shape[2]
            mixed_v = released_attention(q_v, k_a, v_a, rows)
            mixed_a = released_attention(q_a, k_v, v_v, rows)
            residual_v = self.W_z(mixed_v[:, :, None, :, None]).flatten(2)
        elif self.framewise:
            mixed_v, mixed_a = framewise_cross_attention((q_v, k_v, v_v), (q_a, k_a, v_a), self.heads)
            residual_v = self.W_z(mixed_v)
        else:
            mixed_v = softmax_attention(q_v, k_a, v_a)
            mixed_a = softmax_attention(q_a, k_v, v_v)
            residual_v = self.W_z(mixed_v)
        residual_a = self.W_z2(mixed_a)
        return FusionOutput(
            visual=self.norm_layer((frames + residual_v).transpose(1, 2)),
            tokens=self.norm_layer2((aligned + residual_a).squeeze(2)),
            visual_residual=residual_v.transpose(1, 2),
        )

    def _gate(self, visual: torch.Tensor, aligned: torch.Tensor) -> FusionOutput:
        """Fuse frames (T, h·w, L) of one token each, (T, L, 1)."""
        q_f, k_f, v_f = (pointwise_weights(conv) for conv in (self.q_frame, self.k_frame, self.v_frame))
        q_a, k_a, v_a = (conv(aligned).squeeze(2) for conv in (self.q_audio, self.k_audio, self.v_audio))
        first, activation, last = self.W_z
        hidden, mixed_a = gated_cross_attention(
            visual, (q_f, k_f, v_f), (q_a, k_a, v_a), pointwise_weights(first), self.heads
        )
        residual_v, residual_a = pointwise(last, activation(hidden)), self.W_z2(mixed_a.unsqueeze(2))
        return FusionOutput(
            visual=self.norm_layer(visual + residual_v),
            tokens=self.norm_layer2((aligned + residual_a).squeeze(2)),
            visual_residual=residual_v,
        )


def tpavi_attention(theta: torch.Tensor, phi: torch.Tensor, values: torch.Tensor, *, framewise: bool) -> torch.Tensor:
    """Compute y_i = 1 / n · Σ_j (θ_i · φ_j) g_j over n positions j.

    φ is equal at all positions of a frame, so their sum is computed once: O(n T) instead of O(n²).

    Args:
        theta: θ, (T, P, C), of each place.
        phi: φ, (T, C), of the audio of each frame.
        values: g, (T, P, C).
        framewise: j runs over the positions of the same frame, n = P; else over those of the clip, n = T · P.

    Returns:
        (T, P, C).
    """
    frames, pixels, _ = theta.shape
    total = values.sum(1)
    if framewise:
        return (theta @ phi[:, :, None]) * total[:, None] / pixels
    return (theta @ phi.T) @ total / (frames * pixels)


class TPAVI(nn.Module):
    """Audio-only fusion block of one level, an alternative to `CrossFusion`.

    Args:
        width: C, of the visual side.
        inner: C', of the affinity.
        audio_width: width of the audio tokens.
        framewise: attend within frames only. Zero weights of the last layer then make the block the identity at first.
            The original uses a batch normalisation for this, whose statistics over a few frames are unreliable.
    """

    def __init__(self, width: int, inner: int, audio_width: int, *, framewise: bool) -> None:
        super().__init__()
        self.framewise = framewise
        self.align_channel = nn.Linear(audio_width, width)
        self.theta, self.phi, self.g = (nn.Linear(width, inner) for _ in range(3))
        self.out = nn.Linear(inner, width)
        norm = nn.BatchNorm1d(width)
        self.batch_norm = nn.Identity() if framewise else norm
        last = self.out if framewise else norm
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.norm_layer = nn.LayerNorm(width)

    def forward(self, visual: torch.Tensor, tokens: torch.Tensor) -> FusionOutput:
        """Fuse; the output tokens are the input tokens projected to the visual width.

        Args:
            visual: (T, h·w, C).
            tokens: (N, audio_width), N >= T; row t < T is the audio of frame t.
        """
        aligned = self.align_channel(tokens)
        audio = self.phi(aligned[: len(visual)])
        mixed = self.out(tpavi_attention(self.theta(visual), audio, self.g(visual), framewise=self.framewise))
        residual = self.batch_norm(mixed.flatten(0, 1)).view_as(visual)
        return FusionOutput(self.norm_layer(visual + residual), aligned, residual)
