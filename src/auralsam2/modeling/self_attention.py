"""Self-attention blocks of AuralFuser (Eq. 2): pre-norm, for a map or for a sequence of tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from auralsam2.config import FuserConfig

MLP_RATIO = 4
REDUCTION = 4


class Attention(nn.Module):
    """Multi-head attention; on a map, keys and values come from the map reduced by 4 (spatial reduction of PVT v2).

    Args:
        width: L.
        heads: a divisor of L.
        dropout: probability on attention weights and on the projection.
        spatial: reduce keys and values.
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
        """Compute the attention.

        Args:
            tokens: (B, n, L).
            grid: (h, w) with h · w = n if the tokens are a map, else None.
            mask: (n, n) bool, true where a token (row) may attend to another (column), for tokens that are not a map;
                None: all to all.

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
    """3×3 depthwise convolution over tokens of a map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """Map (B, h · w, width) to the same shape."""
        return self.dwconv(tokens.transpose(1, 2).unflatten(2, grid)).flatten(2).transpose(1, 2)


class FeedForward(nn.Module):
    """fc1, a depthwise convolution on maps, GELU, fc2."""

    def __init__(self, width: int, dropout: float, *, spatial: bool) -> None:
        super().__init__()
        self.dropout = dropout
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.fc2 = nn.Linear(MLP_RATIO * width, width)
        if spatial:
            self.dwconv = DepthwiseConv(MLP_RATIO * width)

    def forward(self, tokens: torch.Tensor, grid: tuple[int, int] | None) -> torch.Tensor:
        """Map (B, n, L) to the same shape."""
        hidden = self.fc1(tokens)
        if grid is not None:
            hidden = self.dwconv(hidden, grid)
        hidden = F.dropout(F.gelu(hidden), self.dropout, self.training)
        return F.dropout(self.fc2(hidden), self.dropout, self.training)


class TransformerBlock(nn.Module):
    """t + attention(LN t), then t + MLP(LN t).

    On a map (`spatial`), keys are reduced and the MLP has a depthwise convolution.
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
        """Map (B, n, L) to the same shape; `grid` for spatial blocks, `mask` as in `Attention`."""
        tokens = tokens + self.attn(self.norm1(tokens), grid, mask)
        return tokens + self.mlp(self.norm2(tokens), grid)


class TransformerBlocks(nn.ModuleList):
    """Self-attention blocks of one side at one level, in sequence."""

    def __init__(self, config: FuserConfig, depth: int, *, spatial: bool) -> None:
        super().__init__(
            TransformerBlock(config.width, config.heads, config.dropout, spatial=spatial) for _ in range(depth)
        )

    def forward(
        self, tokens: torch.Tensor, grid: tuple[int, int] | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Map (B, n, L) to the same shape; arguments as in `TransformerBlock`."""
        for block in self:
            tokens = block(tokens, grid, mask)
        return tokens
