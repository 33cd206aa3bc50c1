"""The self-attention blocks of AuralFuser (Eq. 2): pre-norm, for a map or for a sequence of tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from auralsam2.config import FuserConfig

MLP_RATIO = 4
REDUCTION = 4


class Attention(nn.Module):
    """Multi-head attention; over a map, keys and values come from the map shrunk by 4 (PVT v2's spatial reduction).

    Args:
        width: L.
        heads: a divisor of L.
        dropout: probability on attention weights and on the projection.
        spatial: shrink keys and values.
    """

    def __init__(self, width: int, heads: int, dropout: float, *, spatial: bool) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        if spatial:
            self.sr = nn.Conv2d(width, width, REDUCTION, stride=REDUCTION)
            self.norm = nn.LayerNorm(width)

    def forward(
        self, tokens: torch.Tensor, grid: tuple[int, int] | None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Attend.

        Args:
            tokens: (B, n, L).
            grid: (h, w) with h · w = n where the tokens are a map.
            mask: (n, n) bool, which token (row) may attend to which, where the tokens are no map; None: all to all.

        Returns:
            (B, n, L).
        """
        context = tokens
        if grid is not None:
            image = tokens.transpose(1, 2).unflatten(2, grid)
            context = self.norm(self.sr(image).flatten(2).transpose(1, 2))
        query = self.q(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
        key, value = self.kv(context).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        dropped = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropped)
        return F.dropout(self.proj(mixed.transpose(1, 2).flatten(2)), self.dropout, self.training)


class DepthwiseConv(nn.Module):
    """A 3×3 depthwise convolution over tokens that are a map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """(B, h · w, width) to the same shape."""
        return self.dwconv(tokens.transpose(1, 2).unflatten(2, grid)).flatten(2).transpose(1, 2)


class FeedForward(nn.Module):
    """fc1, over a map a depthwise convolution, GELU, fc2."""

    def __init__(self, width: int, dropout: float, *, spatial: bool) -> None:
        super().__init__()
        self.dropout = dropout
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.fc2 = nn.Linear(MLP_RATIO * width, width)
        if spatial:
            self.dwconv = DepthwiseConv(MLP_RATIO * width)

    def forward(self, tokens: torch.Tensor, grid: tuple[int, int] | None) -> torch.Tensor:
        """(B, n, L) to the same shape."""
        hidden = self.fc1(tokens)
        if grid is not None:
            hidden = self.dwconv(hidden, grid)
        hidden = F.dropout(F.gelu(hidden), self.dropout, self.training)
        return F.dropout(self.fc2(hidden), self.dropout, self.training)


class TransformerBlock(nn.Module):
    """t + attention(LN t), then t + MLP(LN t).

    Args:
        width: L.
        heads: a divisor of L.
        dropout: probability.
        spatial: the tokens are a map: attention with reduced keys, MLP with a depthwise convolution.
    """

    def __init__(self, width: int, heads: int, dropout: float, *, spatial: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, dropout, spatial=spatial)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, dropout, spatial=spatial)

    def forward(
        self, tokens: torch.Tensor, grid: tuple[int, int] | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(B, n, L) to the same shape; `grid` (h, w) exactly where the block is spatial, `mask` as of `Attention`."""
        tokens = tokens + self.attn(self.norm1(tokens), grid, mask)
        return tokens + self.mlp(self.norm2(tokens), grid)


class TransformerBlocks(nn.ModuleList):
    """The self-attention of one side at one level: so many blocks, one after the other."""

    def __init__(self, config: FuserConfig, depth: int, *, spatial: bool) -> None:
        super().__init__(
            TransformerBlock(config.width, config.heads, config.dropout, spatial=spatial) for _ in range(depth)
        )

    def forward(
        self, tokens: torch.Tensor, grid: tuple[int, int] | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(B, n, L) to the same shape; arguments as of `Block`."""
        for block in self:
            tokens = block(tokens, grid, mask)
        return tokens
