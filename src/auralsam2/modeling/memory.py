"""SAM 2's memory as functions without time: encode a frame with its mask, attend to what others left, make pointers.

Which frames are remembered, and how far back they lie, is the tracker's business.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from transformers import Sam2VideoModel

CONDITIONING = 0
"""Distance by which a conditioning frame goes, however far it is."""


class MemoryNetwork(nn.Module):
    """Memory encoder, memory attention and pointers of a frozen SAM 2 (2.0 or 2.1).

    Args:
        sam2: its public sub-modules are used as they are.
    """

    def __init__(self, sam2: Sam2VideoModel) -> None:
        super().__init__()
        self.sam2 = sam2

    @property
    def slots(self) -> int:
        """Memories that one frame attends to: the conditioning one and slots - 1 before it."""
        return self.sam2.config.num_maskmem

    @property
    def pointers(self) -> int:
        """Most object pointers that one frame attends to, the conditioning one not counted, plus one."""
        return self.sam2.config.max_object_pointers_in_encoder

    def begin(self, embedding: torch.Tensor) -> torch.Tensor:
        """A frame without memory: (1, C, h, w) plus the no-memory term."""
        return embedding + self.sam2.no_memory_embedding.transpose(1, 2).unsqueeze(3)

    def encode(self, embedding: torch.Tensor, logits: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
        """Memory of a frame.

        The mask is binarised, as for a mask that came from clicks: the released models were trained so.

        Args:
            embedding: (B, C, h, w), the raw stride-16 map.
            logits: (B, 1, S, S), the chosen mask.
            score: (B, 1), the object score.

        Returns:
            (B, 64, h, w).
        """
        config = self.sam2.config
        mask = (logits > 0).to(logits.dtype) * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        memory, _ = self.sam2.memory_encoder(embedding, mask)
        occluded = self.sam2.occlusion_spatial_embedding_parameter
        if occluded is not None:
            memory = memory + (score <= 0).to(memory.dtype)[..., None, None] * occluded[..., None, None]
        return memory

    def pointer(self, token: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
        """Object pointer of a frame.

        Args:
            token: (B, C), of the chosen mask.
            score: (B, 1); where it is not positive, the pointer says "no object".

        Returns:
            (B, C).
        """
        return torch.where(score > 0, self.sam2.object_pointer_proj(token), self.sam2.no_object_pointer)

    def attend(
        self,
        embedding: torch.Tensor,
        position: torch.Tensor,
        memories: Sequence[tuple[int, torch.Tensor]],
        pointers: Sequence[tuple[int, torch.Tensor]],
        reach: int,
    ) -> torch.Tensor:
        """A frame that remembers; B are B targets, or frames of B clips, each with its own memories.

        Args:
            embedding: (B, C, h, w), the raw stride-16 map.
            position: (1, C, h, w), its sine position map.
            memories: (distance in frames, memory (B, 64, h, w)), in the order of the keys; 0 for a conditioning frame.
            pointers: (distance in frames, pointer (B, C)).
            reach: longest distance of a pointer; SAM 2.1 encodes the age as a fraction of it.

        Returns:
            (B, C, h, w).
        """
        sam2 = self.sam2
        where = sam2.memory_encoder.position_encoding(memories[0][1][:1].shape, embedding.device, embedding.dtype)
        keys = [_sequence(memory) for _, memory in memories]
        # Entry d - 1 belongs to distance d; a conditioning frame takes the last entry.
        ages = [_sequence(where) + sam2.memory_temporal_positional_encoding[distance - 1] for distance, _ in memories]
        pieces = 0
        if pointers:
            split = embedding.shape[1] // sam2.mem_dim
            keys.append(torch.cat([pointer.unflatten(1, (split, -1)).transpose(0, 1) for _, pointer in pointers]))
            ages.append(self._pointer_ages([distance for distance, _ in pointers], reach).repeat_interleave(split, 0))
            pieces = len(pointers) * split
        remembered = sam2.memory_attention(
            current_vision_features=_sequence(embedding),
            current_vision_position_embeddings=_sequence(position),
            memory=torch.cat(keys),
            memory_posision_embeddings=torch.cat(ages),
            num_object_pointer_tokens=pieces,
        )
        return remembered.squeeze(0).transpose(1, 2).reshape(embedding.shape)

    def _pointer_ages(self, distances: list[int], reach: int) -> torch.Tensor:
        """(n, 1, 64): zeros in SAM 2.0, the projected sinusoid of distance / reach in SAM 2.1."""
        sam2 = self.sam2
        weight = sam2.no_object_pointer
        if not sam2.config.enable_temporal_pos_encoding_for_object_pointers:
            return weight.new_zeros(len(distances), 1, sam2.mem_dim)
        half = sam2.hidden_dim // 2
        fraction = torch.tensor(distances, device=weight.device, dtype=torch.float32)[:, None] / max(reach, 1)
        step = torch.arange(half, device=weight.device, dtype=torch.float32).div(2, rounding_mode="floor")
        angle = fraction * torch.exp(-math.log(10_000.0) * 2 * step / half)
        sinusoid = torch.cat([angle.sin(), angle.cos()], dim=1).to(weight.dtype)
        return sam2.temporal_positional_encoding_projection_layer(sinusoid).unsqueeze(1)


def _sequence(image: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) to (h·w, B, C)."""
    return image.flatten(2).permute(2, 0, 1)
