"""SAM 2's memory as stateless functions: memory encoder, memory attention and object pointers.

`inference.memory_bank` selects the remembered frames and their distances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from transformers import Sam2VideoModel

CONDITIONING = 0
"""Temporal distance of a conditioning frame, regardless of its time."""


class MemoryNetwork(nn.Module):
    """Memory encoder, memory attention and pointers of a frozen SAM 2 (2.0 or 2.1).

    Args:
        sam2: SAM 2 whose public sub-modules are used.
    """

    def __init__(self, sam2: Sam2VideoModel) -> None:
        super().__init__()
        self.sam2 = sam2

    @property
    def slots(self) -> int:
        """Maximum number of memories that a frame attends to: the conditioning one and slots - 1 before it."""
        return self.sam2.config.num_maskmem

    @property
    def pointers(self) -> int:
        """Maximum number of object pointers that a frame attends to, without the conditioning one, plus one."""
        return self.sam2.config.max_object_pointers_in_encoder

    def without_memory(self, embedding: torch.Tensor) -> torch.Tensor:
        """Add the no-memory term to a map (1, C, h, w)."""
        return embedding + self.sam2.no_memory_embedding.transpose(1, 2).unsqueeze(3)

    def encode(
        self, embedding: torch.Tensor, logits: torch.Tensor, score: torch.Tensor, *, binary: bool = True
    ) -> torch.Tensor:
        """Encode a frame and its mask as a memory.

        Args:
            embedding: (B, C, h, w), the raw stride-16 map.
            logits: (B, 1, S, S), of the selected mask.
            score: (B, 1), object score.
            binary: binarise the mask, as SAM 2 does on frames with visual prompts; else take its probabilities, as
                SAM 2 does on the frames between. The released fuser was trained with binary masks on all frames.

        Returns:
            (B, 64, h, w).
        """
        config = self.sam2.config
        mask = (logits > 0).to(logits.dtype) if binary else logits.sigmoid()
        mask = mask * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        memory, _ = self.sam2.memory_encoder(embedding, mask)
        occluded = self.sam2.occlusion_spatial_embedding_parameter
        if occluded is not None:
            memory = memory + (score <= 0).to(memory.dtype)[..., None, None] * occluded[..., None, None]
        return memory

    def object_pointer(self, token: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
        """Compute the object pointer (B, C) from the token (B, C) of the selected mask and the object score (B, 1).

        If the score is not positive, it is the learned no-object pointer.
        """
        return torch.where(score > 0, self.sam2.object_pointer_proj(token), self.sam2.no_object_pointer)

    def attend(
        self,
        embedding: torch.Tensor,
        position: torch.Tensor,
        memories: Sequence[tuple[int, torch.Tensor]],
        pointers: Sequence[tuple[int, torch.Tensor]],
        max_distance: int,
    ) -> torch.Tensor:
        """Attend from B frames to their memories; B targets, or frames of B clips, each with its own memories.

        Args:
            embedding: (B, C, h, w), the stride-16 map.
            position: (1, C, h, w), its sine position map.
            memories: (distance in frames, memory (B, 64, h, w)) in the order of the keys; distance 0 is a conditioning
                frame.
            pointers: (distance in frames, pointer (B, C)).
            max_distance: maximum distance of a pointer; SAM 2.1 encodes distances as fractions of it.

        Returns:
            (B, C, h, w).
        """
        sam2 = self.sam2
        grid_positions = sam2.memory_encoder.position_encoding(
            memories[0][1][:1].shape, embedding.device, embedding.dtype
        )
        keys = [_sequence(memory) for _, memory in memories]
        # Entry d - 1 belongs to distance d; a conditioning frame takes the last entry.
        positions = [
            _sequence(grid_positions) + sam2.memory_temporal_positional_encoding[distance - 1]
            for distance, _ in memories
        ]
        pointer_tokens = 0
        if pointers:
            split = embedding.shape[1] // sam2.mem_dim
            keys.append(torch.cat([pointer.unflatten(1, (split, -1)).transpose(0, 1) for _, pointer in pointers]))
            positions.append(
                self._pointer_positions([distance for distance, _ in pointers], max_distance).repeat_interleave(
                    split, 0
                )
            )
            pointer_tokens = len(pointers) * split
        remembered = sam2.memory_attention(
            current_vision_features=_sequence(embedding),
            current_vision_position_embeddings=_sequence(position),
            memory=torch.cat(keys),
            memory_posision_embeddings=torch.cat(positions),
            num_object_pointer_tokens=pointer_tokens,
        )
        return remembered.squeeze(0).transpose(1, 2).reshape(embedding.shape)

    def _pointer_positions(self, distances: list[int], max_distance: int) -> torch.Tensor:
        """Return the temporal positions of pointers, (n, 1, 64): zeros in SAM 2.0, a projected sinusoid in SAM 2.1."""
        sam2 = self.sam2
        weight = sam2.no_object_pointer
        if not sam2.config.enable_temporal_pos_encoding_for_object_pointers:
            return weight.new_zeros(len(distances), 1, sam2.mem_dim)
        half = sam2.hidden_dim // 2
        fraction = torch.tensor(distances, device=weight.device, dtype=torch.float32)[:, None] / max(max_distance, 1)
        step = torch.arange(half, device=weight.device, dtype=torch.float32).div(2, rounding_mode="floor")
        angle = fraction * torch.exp(-math.log(10_000.0) * 2 * step / half)
        sinusoid = torch.cat([angle.sin(), angle.cos()], dim=1).to(weight.dtype)
        return sam2.temporal_positional_encoding_projection_layer(sinusoid).unsqueeze(1)


def _sequence(image: torch.Tensor) -> torch.Tensor:
    return image.flatten(2).permute(2, 0, 1)
