"""Parts of Mask2Former that a guide, a mask of the sounding objects, and audio enter: subclasses of transformers'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Mask2FormerConfig
from transformers.models.mask2former.modeling_mask2former import (
    Mask2FormerMaskedAttentionDecoder,
    Mask2FormerMaskPredictor,
    Mask2FormerSinePositionEmbedding,
)

from auralsam2.semantics.stage_config import SILENT, SOUNDING, SecondStageConfig


@dataclass(slots=True)
class Guidance:
    """Inputs of one pass that transformers' `forward` does not take; shared by the parts below.

    Attributes:
        mask: (B, 1, h, w) float in [0, 1], the guide; None for none.
        audio: (B, E), audio embeddings; None for none.
        first: the next mask prediction is the one of the initial queries.
    """

    mask: torch.Tensor | None = None
    audio: torch.Tensor | None = None
    first: bool = False


def resize_guide(mask: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize a guide (B, 1, h, w): bilinear without antialiasing, as published."""
    return F.interpolate(mask, size, mode="bilinear", align_corners=False)


class GuidedPositionEmbedding(Mask2FormerSinePositionEmbedding):
    """Position embedding of the keys, with a learned vector by the value of the guide at each position.

    Args:
        width: channels of the embedding.
        guidance: with the guide.
    """

    def __init__(self, width: int, guidance: Guidance) -> None:
        super().__init__(num_position_features=width // 2, normalize=True)
        self.guidance = guidance
        self.silence_embed = nn.Embedding(1, width)
        self.uncertain_embed = nn.Embedding(1, width)
        self.audio_embed = nn.Embedding(1, width)

    def forward(
        self, shape: torch.Size, device: torch.device | str, dtype: torch.dtype, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the embedding (B, C, h, w) of a level."""
        position = super().forward(shape, device, dtype, mask)
        if self.guidance.mask is None:
            return position
        guide = resize_guide(self.guidance.mask, (shape[-2], shape[-1]))[:, 0]
        state = (guide > SILENT).long() + (guide >= SOUNDING).long()
        vectors = torch.cat([self.silence_embed.weight, self.uncertain_embed.weight, self.audio_embed.weight])
        return position + F.embedding(state, vectors).permute(0, 3, 1, 2).to(dtype)


class GuidedMaskPredictor(Mask2FormerMaskPredictor):
    """Mask prediction whose first attention mask of a pass is the guide: blocked where it is below 0.5.

    Args:
        config: of Mask2Former.
        guidance: with the guide.
    """

    def __init__(self, config: Mask2FormerConfig, guidance: Guidance) -> None:
        size: Any = config.mask_feature_size  # annotated as a tensor in transformers
        super().__init__(config.hidden_dim, config.num_attention_heads, size)
        self.guidance = guidance

    def forward(
        self, outputs: torch.Tensor, pixel_embeddings: torch.Tensor, attention_mask_target_size: Any = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the masks (B, Q, H, W), and the attention mask (B · heads, Q, h · w) of the next layer."""
        masks, attention = super().forward(outputs, pixel_embeddings, attention_mask_target_size)
        if self.guidance.first and self.guidance.mask is not None:
            blocked = resize_guide(self.guidance.mask, attention_mask_target_size).flatten(2) < 0.5
            attention = blocked.repeat_interleave(self.num_heads, 0).expand_as(attention)
        self.guidance.first = False
        return masks, attention


class GuidedDecoder(Mask2FormerMaskedAttentionDecoder):
    """Decoder whose queries get the audio, and whose mask features get the guide.

    Args:
        config: of Mask2Former.
        stage: chooses what enters.
        guidance: inputs of the pass.
    """

    def __init__(self, config: Mask2FormerConfig, stage: SecondStageConfig, guidance: Guidance) -> None:
        super().__init__(config)
        self.stage, self.guidance = stage, guidance
        if stage.guide_attention:
            self.mask_predictor = GuidedMaskPredictor(config, guidance)
        if stage.audio:
            self.audio_proj = nn.Sequential(
                nn.Linear(stage.audio_encoder.embedding, stage.audio_hidden),
                nn.ReLU(),
                nn.Linear(stage.audio_hidden, config.hidden_dim),
            )

    def forward(
        self,
        inputs_embeds: torch.Tensor,
        pixel_embeddings: torch.Tensor,
        query_position_embeddings: torch.Tensor,
        **others: Any,
    ) -> Any:
        """Decode the queries.

        The content of query i becomes f_i + cos(e_i, a) a, with its position embedding e_i and the projected audio a.

        Args:
            inputs_embeds: (Q, B, C), f.
            pixel_embeddings: (B, C, H, W), mask features.
            query_position_embeddings: (Q, B, C), e.
            others: further arguments of transformers' decoder.
        """
        if self.stage.audio and self.guidance.audio is not None:
            audio = self.audio_proj(self.guidance.audio)[None]
            likeness = F.cosine_similarity(query_position_embeddings, audio, dim=-1)
            inputs_embeds = inputs_embeds + likeness[..., None] * audio
        if self.stage.guide_features and self.guidance.mask is not None:
            height, width = pixel_embeddings.shape[-2:]
            pixel_embeddings = pixel_embeddings + resize_guide(self.guidance.mask, (height, width))
        self.guidance.first = True
        return super().forward(
            inputs_embeds=inputs_embeds,
            pixel_embeddings=pixel_embeddings,
            query_position_embeddings=query_position_embeddings,
            **others,
        )
