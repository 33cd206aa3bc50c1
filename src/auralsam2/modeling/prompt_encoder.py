"""Embedding of points, boxes and masks by SAM 2's prompt encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from transformers import Sam2VideoModel

POSITIVE, NEGATIVE, PADDING = 1, 0, -1
MAX_MASK_LOGIT = 32.0
"""Limit of the logits of a mask prompt, as in SAM 2."""


@dataclass(frozen=True, slots=True)
class VisualPrompts:
    """Visual prompts of one frame, in coordinates of the model's input.

    Attributes:
        points: (n, 2) x, y in [0, S).
        labels: (n,) 1 for the object, 0 for the background.
        box: (4,) x0, y0, x1, y1, or None.
        mask: (S, S) bool, or None.
        logits: (4h, 4w) mask logits of an earlier decoder output that the clicks correct, or None. They replace
            `mask`.
        source_mask: (H, W) bool, `mask` at the size of the video; None if it is only known at S × S.
    """

    points: torch.Tensor
    labels: torch.Tensor
    box: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    source_mask: torch.Tensor | None = None

    @property
    def ambiguous(self) -> bool:
        """True if SAM 2 returns three candidates: at most one click. A box counts as two."""
        return len(self.points) + (2 if self.box is not None else 0) <= 1

    @property
    def given_mask(self) -> torch.Tensor | None:
        """The mask that SAM 2 outputs unchanged: `mask` without points, box and logits; None for other prompts."""
        return self.mask if self.logits is None and self.box is None and not len(self.points) else None

    @property
    def masked(self) -> bool:
        """True if the prompts contain a mask or mask logits."""
        return self.mask is not None or self.logits is not None


@dataclass(frozen=True, slots=True)
class PromptEmbeddings:
    """Output of the prompt encoder.

    Attributes:
        sparse: (1, 1, n, C), n may be 0.
        dense: (1, C, h, w).
    """

    sparse: torch.Tensor
    dense: torch.Tensor


def mask_logits(mask: torch.Tensor) -> torch.Tensor:
    """Return a bool mask as float32 logits of ±10, the range of SAM 2's masks."""
    return mask.float() * 20.0 - 10.0


def low_res_logits(mask: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return a mask (S, S) bool as logits (1, 1, 4h, 4w), resized bilinearly with anti-aliasing as in SAM 2."""
    logits = mask_logits(mask)[None, None]
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False, antialias=True)


def embed_prompts(sam2: Sam2VideoModel, prompts: VisualPrompts | None, *, padded: bool = False) -> PromptEmbeddings:
    """Embed the visual prompts of one frame.

    Args:
        sam2: SAM 2 whose prompt encoder is used.
        prompts: None for a frame without prompts.
        padded: add the two "not a point" tokens if there is no prompt, as stock SAM 2 does while it tracks. The feature
            prompts were trained without any token.
    """
    encoder = sam2.prompt_encoder
    points = labels = box = mask = None
    dtype, device = encoder.no_mask_embed.weight.dtype, encoder.no_mask_embed.weight.device
    if prompts is not None:
        if len(prompts.points):
            points = prompts.points.to(device, dtype)[None, None]
            labels = prompts.labels.to(device)[None, None]
        if prompts.box is not None:
            box = prompts.box.to(device, dtype)[None, None]
        if prompts.logits is not None:
            mask = prompts.logits.to(device, dtype).clamp(-MAX_MASK_LOGIT, MAX_MASK_LOGIT)[None, None]
        elif prompts.mask is not None:
            mask = low_res_logits(prompts.mask.to(device), encoder.mask_input_size).to(dtype)
    if points is None and box is None and padded:
        points, labels = _padding(dtype, device)
    sparse, dense = encoder(input_points=points, input_labels=labels, input_boxes=box, input_masks=mask)
    if sparse is None:
        sparse = torch.zeros(1, 1, 0, encoder.hidden_size, dtype=dtype, device=device)
    return PromptEmbeddings(sparse, dense)


def embed_mask(sam2: Sam2VideoModel, logits: torch.Tensor) -> PromptEmbeddings:
    """Embed mask logits (1, 1, 4h, 4w) without points and box, with SAM 2's two "not a point" tokens."""
    encoder = sam2.prompt_encoder
    points, labels = _padding(logits.dtype, logits.device)
    return PromptEmbeddings(*encoder(input_points=points, input_labels=labels, input_boxes=None, input_masks=logits))


def _padding(dtype: torch.dtype, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one point, (1, 1, 1, 2), and its label, (1, 1, 1), which say that there is none."""
    return (
        torch.zeros(1, 1, 1, 2, dtype=dtype, device=device),
        torch.full((1, 1, 1), PADDING, dtype=torch.int32, device=device),
    )
