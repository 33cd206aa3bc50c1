"""SAM 2's mask decoder with feature prompts between its blocks (paper Eq. 5).

The sub-modules of the decoder run in the stock order; the prompts are added between them. Without prompts, or with
prompts of zero, the result equals the stock decoder's bit for bit.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Sam2VideoModel

from auralsam2.config import ExtensionsConfig, PromptingConfig
from auralsam2.modeling.prompt_encoder import PromptEmbeddings
from auralsam2.types import FeaturePrompts

SCORE_TOKEN, IOU_TOKEN, FIRST_MASK_TOKEN = 0, 1, 2
LEVELS = 3
ABSENT_LOGIT = -1024.0
"""Mask logit of frames without the object, as in SAM 2."""


@dataclass(frozen=True, slots=True)
class DecoderOutput:
    """Masks and scores of B frames.

    Attributes:
        logits: (B, M, 4h, 4w); M is 3 (candidates), 1, or 4 (all masks).
        ious: (B, M) predicted IoU of each mask, in [0, 1].
        tokens: (B, M, C) mask tokens.
        object_score: (B, 1) logit of the object's presence in the frame.
    """

    logits: torch.Tensor
    ious: torch.Tensor
    tokens: torch.Tensor
    object_score: torch.Tensor

    @property
    def best(self) -> torch.Tensor:
        """(B,) index of the mask with the highest predicted IoU."""
        return self.ious.argmax(dim=1)

    def gated(self) -> DecoderOutput:
        """Empty the masks of frames whose object score is not positive, as SAM 2 does."""
        present = self.object_score[:, :, None, None] > 0
        return dataclasses.replace(self, logits=torch.where(present, self.logits, ABSENT_LOGIT))


class MaskDecoder(nn.Module):
    """Mask decoder of a frozen SAM 2 with feature prompts.

    Args:
        sam2: SAM 2 whose public sub-modules are used.
        config: positions and order of the prompts.
        extensions: extensions of this package; None: none.
    """

    position: torch.Tensor

    def __init__(
        self, sam2: Sam2VideoModel, config: PromptingConfig, extensions: ExtensionsConfig | None = None
    ) -> None:
        super().__init__()
        self.decoder = sam2.mask_decoder
        self.prompt_encoder = sam2.prompt_encoder
        self.config, self.extensions = config, extensions or ExtensionsConfig()
        with torch.no_grad():
            position = sam2.get_image_wide_positional_embeddings()
        self.register_buffer("position", position.flatten(2).transpose(1, 2).unsqueeze(1), persistent=False)

    def forward(
        self,
        embedding: torch.Tensor,
        fine: torch.Tensor,
        middle: torch.Tensor,
        embeddings: PromptEmbeddings,
        prompts: FeaturePrompts | None = None,
        *,
        multimask: bool = True,
    ) -> DecoderOutput:
        """Decode B frames.

        Args:
            embedding: (B, C, h, w), with memory or the no-memory term added.
            fine: (B, C/8, 4h, 4w).
            middle: (B, C/4, 2h, 2w).
            embeddings: embedded points, boxes and masks.
            prompts: feature prompts, T = B; None for the stock decoder.
            multimask: return the three candidates; else the single mask that SAM 2 selects for unambiguous prompts.
        """
        all_masks, _ = self.decode_all(embedding, fine, middle, embeddings, prompts)
        if multimask:
            return DecoderOutput(
                all_masks.logits[:, 1:], all_masks.ious[:, 1:], all_masks.tokens[:, 1:], all_masks.object_score
            )
        return self._select_single(all_masks)

    def decode_all(
        self,
        embedding: torch.Tensor,
        fine: torch.Tensor,
        middle: torch.Tensor,
        embeddings: PromptEmbeddings,
        prompts: FeaturePrompts | None = None,
    ) -> tuple[DecoderOutput, torch.Tensor]:
        """Decode B frames and return all M = 4 masks, of which the first is for unambiguous prompts.

        The arguments are those of `forward`. The second result is the map (B, C, h, w) of image tokens after the last
        block.
        """
        decoder = self.decoder
        batch, _, height, width = embedding.shape
        steps = self._prompt_steps(prompts)
        output_tokens = torch.cat(
            [decoder.obj_score_token.weight, decoder.iou_token.weight, decoder.mask_tokens.weight]
        )
        tokens = torch.cat([output_tokens.expand(batch, 1, -1, -1), embeddings.sparse.expand(batch, -1, -1, -1)], dim=2)
        if prompts is not None and prompts.token is not None:
            tokens = torch.cat([tokens, prompts.token[:, None, None]], dim=2)
        dense = embeddings.dense
        if prompts is not None and prompts.coarse_mask is not None:
            dense = dense + self._embed_coarse_mask(prompts.coarse_mask)
        keys = (embedding + dense).flatten(2).transpose(1, 2).unsqueeze(1)

        queries = query_position = tokens
        for step, layer in enumerate((*decoder.transformer.layers, None)):
            queries, keys = self._add_prompts(queries, keys, steps[step])
            if step == 0 and self.config.prompt_positions:
                query_position = queries
            if layer is not None:
                queries, keys, _ = layer(
                    queries=queries,
                    keys=keys,
                    query_point_embedding=query_position,
                    key_point_embedding=self.position,
                    attention_similarity=None,
                )
        attended, _ = decoder.transformer.final_attn_token_to_image(
            query=queries + query_position, key=keys + self.position, value=keys
        )
        queries = decoder.transformer.layer_norm_final_attn(queries + attended)

        attended_image = keys.transpose(2, 3).reshape(batch, -1, height, width)
        image = decoder.upscale_conv1(attended_image) + middle
        image = decoder.activation(decoder.upscale_layer_norm(image))
        image = decoder.activation(decoder.upscale_conv2(image) + fine)
        mask_tokens = queries[:, 0, FIRST_MASK_TOKEN : FIRST_MASK_TOKEN + decoder.num_mask_tokens]
        weights = torch.stack(
            [mlp(mask_tokens[:, i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)], dim=1
        )
        logits = (weights @ image.flatten(2)).unflatten(2, image.shape[2:])
        ious = decoder.iou_prediction_head(queries[:, 0, IOU_TOKEN])
        score = decoder.pred_obj_score_head(queries[:, 0, SCORE_TOKEN])
        if prompts is not None:
            cap, offset = prompts.object_score_cap, self.extensions.object_score_offset
            score = score - offset if cap is None else torch.minimum(score, cap[:, None])
        return DecoderOutput(logits, ious, mask_tokens, score), attended_image

    def _embed_coarse_mask(self, coarse_mask: torch.Tensor) -> torch.Tensor:
        """Return the dense embedding of coarse mask logits (B, h, w) less that of no mask: (B, C, h, w)."""
        encoder = self.prompt_encoder
        large = F.interpolate(coarse_mask[:, None], size=encoder.mask_input_size, mode="bilinear", align_corners=False)
        return encoder.mask_embed(large) - encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)

    def _prompt_steps(self, prompts: FeaturePrompts | None) -> list[tuple[torch.Tensor, torch.Tensor] | None]:
        """Return (visual (B, 1, h·w, C), audio (B, 1, 1, C)) for each of the three steps."""
        if prompts is None:
            return [None] * LEVELS
        steps: list[tuple[torch.Tensor, torch.Tensor] | None] = [
            (visual.unsqueeze(1), audio[:, None, None])
            for visual, audio in zip(prompts.visual_prompts, prompts.audio_prompts, strict=True)
        ]
        if self.config.coarse_first:
            steps.reverse()
        # With fewer levels, the first steps receive prompts.
        return steps + [None] * (LEVELS - len(steps))

    def _add_prompts(
        self, queries: torch.Tensor, keys: torch.Tensor, step: tuple[torch.Tensor, torch.Tensor] | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Apply Eq. 5 at one step: add the audio prompt to the mask tokens and the visual prompt to the image."""
        if step is None:
            return queries, keys
        visual, audio = step
        if self.config.sparse:
            last = FIRST_MASK_TOKEN + self.decoder.num_mask_tokens
            first = last - self.config.mask_tokens
            queries = torch.cat([queries[:, :, :first], queries[:, :, first:last] + audio, queries[:, :, last:]], dim=2)
        if self.config.dense:
            keys = keys + visual
        return queries, keys

    def _select_single(self, decoded: DecoderOutput) -> DecoderOutput:
        """Select the mask for unambiguous prompts, as SAM 2 does: mask 0 if it is stable, else the best of the others.

        A mask is stable if the areas above +δ and above −δ of its logits differ little.
        """
        delta = self.decoder.dynamic_multimask_stability_delta
        first = decoded.logits[:, 0].flatten(1)
        inner, outer = (first > delta).sum(1).float(), (first > -delta).sum(1).float()
        stability = torch.where(outer > 0, inner / outer, 1.0)
        stable = stability >= self.decoder.dynamic_multimask_stability_thresh
        if not self.decoder.dynamic_multimask_via_stability:
            stable = torch.ones_like(stable)
        rows = torch.arange(len(stable), device=stable.device)
        best = torch.where(stable, 0, 1 + decoded.ious[:, 1:].argmax(1))
        return DecoderOutput(
            decoded.logits[rows, best, None],
            decoded.ious[rows, best, None],
            # The object pointer comes from token 0 in either case, as in SAM 2.
            decoded.tokens[:, :1],
            decoded.object_score,
        )
