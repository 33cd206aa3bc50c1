"""Training losses of the small SAM 2 on cached backbone maps: single prompted frames, and clips followed by memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import Sam2VideoModel

from auralsam2.config import PromptingConfig
from auralsam2.evaluation.metrics import iou
from auralsam2.inference.tracker import full_size
from auralsam2.modeling.image_encoder import sine_position
from auralsam2.modeling.mask_decoder import DecoderOutput, MaskDecoder
from auralsam2.modeling.memory import CONDITIONING, MemoryNetwork
from auralsam2.modeling.prompt_encoder import POSITIVE, embed_prompts
from auralsam2.modeling.sam2 import input_side
from auralsam2.training.losses import balanced_loss, dice_loss, focal_loss
from projects.mini.sam2_data import PromptBatch
from projects.mini.sam2_model import WIDTH

MaskLoss = Literal["balanced", "focal"]

FOCAL_WEIGHT = 20.0
AUXILIARY_WEIGHT = {"balanced": 5.0, "focal": 1.0}
"""Weight of the auxiliary mask head. It gives the decoder its first gradients; later it would outweigh the masks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTerms:
    """Weighted terms of the loss, scalars, and a figure.

    Attributes:
        mask: focal loss or balanced cross-entropy, of token 0 and the best of the other three.
        dice: dice loss of the same masks.
        iou: squared error of the predicted IoUs.
        presence: cross-entropy of the object score.
        auxiliary: cross-entropy of the auxiliary mask head.
        mask_iou: mean IoU of token 0's masks; without gradient.
    """

    mask: torch.Tensor
    dice: torch.Tensor
    iou: torch.Tensor
    presence: torch.Tensor
    auxiliary: torch.Tensor
    mask_iou: torch.Tensor

    @property
    def total(self) -> torch.Tensor:
        """The loss."""
        return self.mask + self.dice + self.iou + self.presence + self.auxiliary


def cell_shares(targets: torch.Tensor, cell: int) -> torch.Tensor:
    """Average masks (B, S, S) bool over cells: share of each cell that the object covers, (B, S / cell, S / cell)."""
    return F.avg_pool2d(targets[:, None].float(), cell)[:, 0]


def prompt_loss(decoded: DecoderOutput, auxiliary: torch.Tensor, targets: torch.Tensor, loss: MaskLoss) -> PromptTerms:
    """Compute the loss of B prompts; only the presence term counts where the object is absent.

    Args:
        decoded: all four masks, (B, 4, 4h, 4w).
        auxiliary: (B, h, w), logits of the auxiliary mask head.
        targets: (B, S, S) bool.
        loss: loss of the masks.
    """
    fine = cell_shares(targets, targets.shape[-1] // decoded.logits.shape[-1])[:, None]
    coarse = cell_shares(targets, targets.shape[-1] // auxiliary.shape[-1])
    present = targets.flatten(1).any(1)
    share = present.float() / present.sum().clamp(min=1)
    if loss == "focal":
        mask = FOCAL_WEIGHT * focal_loss(decoded.logits, fine)
    else:
        mask = balanced_loss(decoded.logits, fine.expand_as(decoded.logits))
    dice = dice_loss(decoded.logits, fine)
    best = (mask + dice)[:, 1:].argmin(1, keepdim=True) + 1
    chosen = torch.cat([torch.zeros_like(best), best], dim=1)
    overlap = soft_iou(decoded.logits, fine)
    auxiliary_loss = F.binary_cross_entropy_with_logits(auxiliary, coarse, reduction="none").mean((1, 2))
    return PromptTerms(
        mask=(share * mask.gather(1, chosen).mean(1)).sum(),
        dice=(share * dice.gather(1, chosen).mean(1)).sum(),
        iou=(share * (decoded.ious - overlap).square().mean(1)).sum(),
        presence=F.binary_cross_entropy_with_logits(decoded.object_score[:, 0], present.float()),
        auxiliary=AUXILIARY_WEIGHT[loss] * (share * auxiliary_loss).sum(),
        mask_iou=(share * overlap[:, 0]).sum(),
    )


@torch.no_grad()
def soft_iou(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Compute the IoU of masks (logits above 0) with the cells of which the object covers more than half."""
    mask, target = logits > 0, targets > 0.5
    return iou((mask & target).sum((-2, -1)), (mask | target).sum((-2, -1)))


@torch.no_grad()
def prompt_sensitivity(logits: torch.Tensor, frames: torch.Tensor, objects: torch.Tensor) -> float | None:
    """Measure how masks (B, h, w) depend on the prompt: 0 for a decoder that ignores it, 1 for the true masks.

    The value is 1 - soft IoU, mean over the pairs of masks of one frame that are prompted for different objects; None
    without a pair. `frames` and `objects` (B,) number the frame and the object of each prompt.
    """
    pair = (frames[:, None] == frames) & (objects[:, None] != objects)
    first, second = torch.nonzero(pair.triu(), as_tuple=True)
    if not len(first):
        return None
    p = logits.sigmoid().flatten(1)
    overlap = torch.minimum(p[first], p[second]).sum(1) / torch.maximum(p[first], p[second]).sum(1)
    return float(1 - overlap.mean())


Levels = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class PromptOutput:
    """Result of B prompts: terms of the loss, and logits (B, 4h, 4w) of token 0's mask."""

    terms: PromptTerms
    logits: torch.Tensor


class PromptableSam2(nn.Module):
    """Initialised SAM 2 of `mini_sam2` in training, with two heads that only training uses."""

    position: torch.Tensor

    def __init__(self, sam2: Sam2VideoModel, classes: int) -> None:
        super().__init__()
        self.sam2 = sam2
        self.decoder = MaskDecoder(sam2, PromptingConfig())
        self.memory = MemoryNetwork(sam2)
        self.mask_head = nn.Linear(WIDTH, 1)
        """Predicts the mask from the decoder's keys."""
        self.class_head = nn.Linear(WIDTH, classes)
        """Predicts the class of each cell from the neck. It keeps the backbone's class features in the neck, which the
        fuser needs and prompts do not."""
        for head in (self.mask_head, self.class_head):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        grid = input_side(sam2) // 16
        self.register_buffer("position", sine_position(WIDTH, (grid, grid), self.mask_head.weight), persistent=False)

    def heads(self) -> dict[str, torch.Tensor]:
        """Return the tensors of the two heads."""
        return {name: value for name, value in self.state_dict().items() if name.startswith(HEADS)}

    def levels(self, maps: tuple[torch.Tensor, ...]) -> Levels:
        """Run the neck on maps (N, C, H, W) at strides 4, 8, 16, 32.

        Returns:
            (N, C, h, w), the stride-16 map; (N, C/8, 4h, 4w) and (N, C/4, 2h, 2w), the decoder's fine and middle maps.
        """
        states, _ = self.sam2.vision_encoder.neck([level.permute(0, 2, 3, 1) for level in maps])
        coarse, middle, fine = states[-3:]
        decoder = self.sam2.mask_decoder
        return coarse, decoder.conv_s0(fine), decoder.conv_s1(middle)

    def class_loss(self, coarse: torch.Tensor, objects: np.ndarray, classes: np.ndarray) -> torch.Tensor:
        """Compute the cross-entropy of the class head for maps (N, C, h, w), mean over the cells with an object."""
        cells = torch.from_numpy(objects[:, 8::16, 8::16].astype(np.int64))
        class_ids = torch.from_numpy(classes.astype(np.int64))
        targets = class_ids.gather(1, (cells - 1).clamp(min=0).flatten(1)).view(cells.shape)
        occupied = cells > 0
        return F.cross_entropy(self.class_head(coarse.permute(0, 2, 3, 1)[occupied]), targets[occupied])

    def predict_frames(
        self, levels: Levels, prompts: PromptBatch, targets: torch.Tensor, loss: MaskLoss
    ) -> PromptOutput:
        """Decode B prompts of single frames, with targets (B, S, S) bool, and compute their loss."""
        return self._prompted(_select(levels, prompts.frames), prompts, targets, loss)[1]

    def predict_clips(
        self, levels: Levels, prompts: PromptBatch, targets: torch.Tensor, loss: MaskLoss, *, padded: bool
    ) -> list[PromptOutput]:
        """Prompt the first frames of clips and follow the objects by memory alone.

        Args:
            levels: levels of N · T frames, clip by clip.
            prompts: B prompts; `frames` holds the index of the clip.
            targets: (B, T, S, S) bool.
            loss: loss of the masks.
            padded: embed "no prompt" in later frames as stock SAM 2 does, with two tokens; else with none.
        """
        frames = targets.shape[1]
        outputs: list[PromptOutput] = []
        memories: list[torch.Tensor] = []
        pointers: list[torch.Tensor] = []
        no_prompt = embed_prompts(self.sam2, None, padded=padded)
        for t in range(frames):
            coarse, fine, middle = current = _select(levels, prompts.frames * frames + t)
            if t == 0:
                decoded, output = self._prompted(current, prompts, targets[:, 0], loss)
                # A single click is ambiguous: the tracker takes the best of three masks.
                multimask = (prompts.labels == POSITIVE).sum(1).eq(1) & (prompts.labels.shape[1] == 1)
            else:
                distances = [CONDITIONING, *range(t - 1, 0, -1)]
                conditioned = self.memory.attend(
                    coarse,
                    self.position,
                    list(zip(distances, memories, strict=True)),
                    list(zip([t, *range(t - 1, 0, -1)], pointers, strict=True)),
                    frames - 1,
                )
                decoded, keys = self.decoder.decode_all(conditioned, fine, middle, no_prompt)
                output = self._output(decoded, keys, targets[:, t], loss)
                multimask = torch.ones(len(targets), dtype=torch.bool)
            outputs.append(output)
            if t < frames - 1:
                memory, pointer = self._encode_memory(coarse, decoded, multimask)
                memories.append(memory)
                pointers.append(pointer)
        return outputs

    def _prompted(
        self, levels: Levels, prompts: PromptBatch, targets: torch.Tensor, loss: MaskLoss
    ) -> tuple[DecoderOutput, PromptOutput]:
        coarse, fine, middle = levels
        decoded, keys = self.decoder.decode_all(
            self.memory.without_memory(coarse), fine, middle, prompts.embed(self.sam2)
        )
        return decoded, self._output(decoded, keys, targets, loss)

    def _output(
        self, decoded: DecoderOutput, keys: torch.Tensor, targets: torch.Tensor, loss: MaskLoss
    ) -> PromptOutput:
        auxiliary = self.mask_head(keys.permute(0, 2, 3, 1))[..., 0]
        return PromptOutput(prompt_loss(decoded, auxiliary, targets, loss), decoded.logits[:, 0])

    def _encode_memory(
        self, embedding: torch.Tensor, decoded: DecoderOutput, multimask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode memory and object pointer of a frame from the mask that the tracker would choose."""
        rows = torch.arange(len(multimask))
        best = torch.where(multimask, decoded.ious[:, 1:].argmax(1) + 1, 0)
        mask = full_size(decoded.logits[rows, best, None].detach(), input_side(self.sam2))
        score = decoded.object_score.detach()
        return self.memory.encode(embedding, mask, score), self.memory.object_pointer(decoded.tokens[rows, best], score)


HEADS = ("mask_head.", "class_head.")


def prompt_targets(objects: np.ndarray, prompts: PromptBatch) -> torch.Tensor:
    """Return the true masks (B, ..., S, S) of prompts from object maps (N, ..., S, S); `prompts.frames` indexes N."""
    maps = torch.from_numpy(objects)[prompts.frames]
    return maps == prompts.objects.reshape(-1, *[1] * (maps.ndim - 1))


def _select(levels: Levels, rows: torch.Tensor) -> Levels:
    coarse, fine, middle = levels
    return coarse[rows], fine[rows], middle[rows]
