"""Attention of SAM 2 for CPUs that multiply matrices in bfloat16, through the extension points of transformers.

PyTorch's fused attention on a CPU is hardly faster in bfloat16 than in float32. Two matrix products with a softmax
between them are faster: the matrix units of the processor compute them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, Sam2VideoModel
from transformers.models.sam2.modeling_sam2 import Sam2HieraDetModel, Sam2MultiScaleAttention, do_pool

IMPLEMENTATION = "auralsam2"
"""Name of `attention` among the attention implementations of transformers."""
_ROWS, _SCORES = 192, 2**20
"""Queries of a block, and scores of a block of several heads. Larger blocks exceed the cache of a core."""


def use_fast_attention(model: Sam2VideoModel) -> Sam2VideoModel:
    """Set the attention of a SAM 2's Hiera encoder and memory to this module's, and return the model."""
    AttentionInterface.register(IMPLEMENTATION, attention)
    model.set_attn_implementation({"": IMPLEMENTATION})
    encoder = model.vision_encoder
    if isinstance(encoder.backbone, Sam2HieraDetModel):
        encoder.set_attn_implementation(IMPLEMENTATION)
        for module in encoder.backbone.modules():
            if type(module) is Sam2MultiScaleAttention:
                module.__class__ = HieraAttention
    return model


class HieraAttention(Sam2MultiScaleAttention):
    """Hiera's attention without a product of queries and keys that transformers computes and does not use."""

    def forward(self, hidden_states: torch.Tensor, **options: Any) -> torch.Tensor:
        """Map windows (B, h, w, d) to (B, h', w', e), pooled where the block has a query stride."""
        batch, height, width, _ = hidden_states.shape
        heads = self.num_attention_heads
        query, key, value = self.qkv(hidden_states).reshape(batch, height * width, 3, heads, -1).unbind(2)
        if self.query_stride:
            pooled = do_pool(query.reshape(batch, height, width, -1), self.query_stride)  # pyright: ignore[reportArgumentType]
            height, width = pooled.shape[1:3]
            query = pooled.reshape(batch, height * width, heads, -1)
        query, key, value = (tensor.transpose(1, 2) for tensor in (query, key, value))
        mixed, _ = attention(self, query, key, value, None, scaling=self.scale, is_causal=False)
        return self.proj(mixed.reshape(batch, height, width, -1))


def attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Compute attention by `matmul_attention` on a CPU in bfloat16, else by transformers' `sdpa`.

    Args:
        module: attention layer.
        query: (B, heads, n, d).
        key: (B, heads, m, d).
        value: (B, heads, m, e).
        attention_mask: as for `sdpa`.
        scaling: factor of the scores.
        options: as for `sdpa`.

    Returns:
        (B, n, heads, e), and None for the weights.
    """
    fast = query.device.type == "cpu" and query.dtype == torch.bfloat16
    if not fast or attention_mask is not None or torch.is_grad_enabled():
        return AttentionInterface()["sdpa"](module, query, key, value, attention_mask, scaling=scaling, **options)
    return matmul_attention(query, key, value, scaling).transpose(1, 2), None


def matmul_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None = None
) -> torch.Tensor:
    """Compute softmax(scaling · query · keyᵀ) · value in blocks of rows.

    Args:
        query: (B, heads, n, d).
        key: (B, heads, m, d).
        value: (B, heads, m, e).
        scaling: factor of the scores; None for d^(-1/2).

    Returns:
        (B, heads, n, e).
    """
    queries = (query * (query.shape[-1] ** -0.5 if scaling is None else scaling)).flatten(0, 1)
    keys, values = key.flatten(0, 1).transpose(1, 2), value.flatten(0, 1)
    count, rows, columns = len(queries), queries.shape[1], keys.shape[2]
    height = min(rows, _ROWS)
    depth = max(1, _SCORES // (height * columns))
    output = queries.new_empty(count, rows, values.shape[2])
    for first in range(0, count, depth):
        heads = slice(first, first + depth)
        for top in range(0, rows, height):
            block = slice(top, top + height)
            weights = torch.bmm(queries[heads, block], keys[heads]).softmax(-1)
            output[heads, block] = torch.bmm(weights, values[heads])
    return output.unflatten(0, query.shape[:2])
