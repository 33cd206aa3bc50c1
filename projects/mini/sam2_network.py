"""The trained parts at work on cached maps: one frame with prompts, or a clip that is prompted once and remembered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import Sam2VideoModel

from auralsam2.config import PromptingConfig
from auralsam2.inference.tracker import full_size
from auralsam2.modeling.image_encoder import sine_position
from auralsam2.modeling.mask_decoder import DecoderOutput, MaskDecoder
from auralsam2.modeling.memory import CONDITIONING, MemoryNetwork
from auralsam2.modeling.prompt_encoder import embed_prompts
from auralsam2.modeling.sam2 import input_side
from auralsam2.training.losses import balanced_loss
from projects.mini.sam2_data import DrawnPrompts
from projects.mini.sam2_model import WIDTH

Rule = Literal["balanced", "paper"]

FOCAL = 20.0
HINT = {"balanced": 5.0, "paper": 1.0}
"""Weight of the linear head: what wakes the decoder would later outweigh the masks themselves."""
ALPHA, GAMMA = 0.25, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTerms:
    """The terms of the loss, weighted, each a scalar, and what to watch.

    Attributes:
        mask: focal or balanced cross-entropy, of token 0 and of the best of the other three.
        dice: likewise.
        iou: squared error of the predicted IoUs.
        score: cross-entropy of "the object is there".
        hint: cross-entropy of a linear head on the decoder's keys.
        found: mean IoU of token 0's masks with the truth; no gradient.
    """

    mask: torch.Tensor
    dice: torch.Tensor
    iou: torch.Tensor
    score: torch.Tensor
    hint: torch.Tensor
    found: torch.Tensor

    @property
    def total(self) -> torch.Tensor:
        """What is minimised."""
        return self.mask + self.dice + self.iou + self.score + self.hint


def soft_targets(targets: torch.Tensor, parts: int) -> torch.Tensor:
    """The share of each cell that the object covers.

    Args:
        targets: (B, S, S) bool.
        parts: side of a cell in pixels.

    Returns:
        (B, S / parts, S / parts) float.
    """
    return F.avg_pool2d(targets[:, None].float(), parts)[:, 0]


def focal_term(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Focal loss, α 0.25, γ 2, mean over the cells; shapes as of `balanced_loss`."""
    targets = targets.expand_as(logits)
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    chance = logits.sigmoid()
    missed = 1 - (chance * targets + (1 - chance) * (1 - targets))
    weight = ALPHA * targets + (1 - ALPHA) * (1 - targets)
    return (weight * missed**GAMMA * each).mean((-2, -1))


def dice_term(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """1 - (2 Σ p t + 1) / (Σ p + Σ t + 1); shapes as of `balanced_loss`."""
    chance = logits.sigmoid()
    shared = (chance * targets).sum((-2, -1))
    return 1 - (2 * shared + 1) / (chance.sum((-2, -1)) + targets.sum((-2, -1)) + 1)


@torch.no_grad()
def soft_overlap(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """IoU of the masks, logits above 0, with the cells of which more than half is covered; 1 where both are empty."""
    found, true = logits > 0, (targets > 0.5).expand_as(logits)
    union = (found | true).sum((-2, -1))
    return torch.where(union > 0, (found & true).sum((-2, -1)) / union.clamp(min=1), 1.0)


def prompt_loss(decoded: DecoderOutput, hints: torch.Tensor, targets: torch.Tensor, rule: Rule) -> PromptTerms:
    """The loss of B prompts.

    A frame from which the object is gone counts for "is it there" alone.

    Args:
        decoded: with all four masks: (B, 4, 4h, 4w).
        hints: (B, h, w) logits of the linear head.
        targets: (B, S, S) bool.
        rule: see above.
    """
    fine = soft_targets(targets, targets.shape[-1] // decoded.logits.shape[-1])[:, None]
    coarse = soft_targets(targets, targets.shape[-1] // hints.shape[-1])
    present = targets.flatten(1).any(1)
    share = present.float() / present.sum().clamp(min=1)
    shape = (
        FOCAL * focal_term(decoded.logits, fine)
        if rule == "paper"
        else balanced_loss(decoded.logits, fine.expand_as(decoded.logits))
    )
    outline = dice_term(decoded.logits, fine)
    best = (shape + outline)[:, 1:].argmin(1, keepdim=True) + 1
    chosen = torch.cat([torch.zeros_like(best), best], dim=1)
    true = soft_overlap(decoded.logits, fine)
    hint = F.binary_cross_entropy_with_logits(hints, coarse, reduction="none").mean((1, 2))
    return PromptTerms(
        mask=(share * shape.gather(1, chosen).mean(1)).sum(),
        dice=(share * outline.gather(1, chosen).mean(1)).sum(),
        iou=(share * (decoded.ious - true).square().mean(1)).sum(),
        score=F.binary_cross_entropy_with_logits(decoded.object_score[:, 0], present.float()),
        hint=HINT[rule] * (share * hint).sum(),
        found=(share * true[:, 0]).sum(),
    )


@torch.no_grad()
def prompt_sensitivity(logits: torch.Tensor, frames: torch.Tensor, objects: torch.Tensor) -> float | None:
    """How much the mask changes with the prompt: 1 - soft IoU of two masks of one frame, prompted for two objects.

    Near 0 the decoder ignores its prompts; the true masks, which are disjoint, would give 1.

    Args:
        logits: (B, h, w).
        frames: (B,), which frame each prompt belongs to.
        objects: (B,), which object of it.

    Returns:
        the mean over all such pairs, None if there is none.
    """
    pair = (frames[:, None] == frames) & (objects[:, None] != objects)
    one, other = torch.nonzero(pair.triu(), as_tuple=True)
    if not len(one):
        return None
    chance = logits.sigmoid().flatten(1)
    both = torch.minimum(chance[one], chance[other]).sum(1) / torch.maximum(chance[one], chance[other]).sum(1)
    return float(1 - both.mean())


Levels = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class PromptableOutput:
    """To B prompts.

    Attributes:
        terms: of the loss.
        logits: (B, 4h, 4w), the mask of token 0.
    """

    terms: PromptTerms
    logits: torch.Tensor


class PromptableSam2(nn.Module):
    """A SAM 2 in training.

    Args:
        sam2: of `model.mini_sam2`, made ready.
        kinds: how many kinds of things the scenes show.
    """

    position: torch.Tensor

    def __init__(self, sam2: Sam2VideoModel, kinds: int) -> None:
        super().__init__()
        self.sam2 = sam2
        self.decoder = MaskDecoder(sam2, PromptingConfig())
        self.memory = MemoryNetwork(sam2)
        self.hint = nn.Linear(WIDTH, 1)
        """Reads the mask off the decoder's keys; needed only to train."""
        nn.init.zeros_(self.hint.weight)
        nn.init.zeros_(self.hint.bias)
        self.naming = nn.Linear(WIDTH, kinds)
        """Reads off the neck what is seen in each cell. Prompts do not need it, but what listens later does: without it
        the neck forgets what the backbone knows of things."""
        nn.init.zeros_(self.naming.weight)
        nn.init.zeros_(self.naming.bias)
        grid = input_side(sam2) // 16
        self.register_buffer("position", sine_position(WIDTH, (grid, grid), self.hint.weight), persistent=False)

    def heads(self) -> dict[str, torch.Tensor]:
        """Tensors of what is needed only to train."""
        return {name: value for name, value in self.state_dict().items() if name.startswith(("hint.", "naming."))}

    def levels(self, maps: tuple[torch.Tensor, ...]) -> Levels:
        """The neck, with gradients.

        Args:
            maps: the backbone's, (N, C, H, W) at strides 4, 8, 16, 32.

        Returns:
            (N, C, h, w) the stride-16 map, and the decoder's projections of the finer ones, (N, C/8, 4h, 4w) and
            (N, C/4, 2h, 2w).
        """
        states, _ = self.sam2.vision_encoder.neck([level.permute(0, 2, 3, 1) for level in maps])
        coarse, middle, fine = states[-3:]
        decoder = self.sam2.mask_decoder
        return coarse, decoder.conv_s0(fine), decoder.conv_s1(middle)

    def name(self, coarse: torch.Tensor, owners: np.ndarray, kinds: np.ndarray) -> torch.Tensor:
        """How badly the neck's stride-16 map tells what is seen: cross-entropy, the mean over cells with an object.

        Args:
            coarse: (N, C, h, w).
            owners: (N, S, S) uint8.
            kinds: (N, 8) int16.
        """
        cells = torch.from_numpy(owners[:, 8::16, 8::16].astype(np.int64))
        known = torch.from_numpy(kinds.astype(np.int64))
        targets = known.gather(1, (cells - 1).clamp(min=0).flatten(1)).view(cells.shape)
        seen = cells > 0
        return F.cross_entropy(self.naming(coarse.permute(0, 2, 3, 1)[seen]), targets[seen])

    def answer(self, levels: Levels, drawn: DrawnPrompts, targets: torch.Tensor, rule: Rule) -> PromptableOutput:
        """Decode prompts of single frames, and judge the masks.

        Args:
            levels: of N frames.
            drawn: B prompts.
            targets: (B, S, S) bool.
            rule: of the loss.
        """
        _, answer = self._prompted(_take(levels, drawn.frames), drawn, targets, rule)
        return answer

    def follow(
        self, levels: Levels, drawn: DrawnPrompts, targets: torch.Tensor, rule: Rule, *, padded: bool
    ) -> list[PromptableOutput]:
        """Prompt the first frame of clips and follow the object by memory alone.

        Args:
            levels: of N · T frames, those of a clip one after the other.
            drawn: B prompts; `frames` tells the clip.
            targets: (B, T, S, S) bool.
            rule: of the loss.
            padded: embed "no prompt" in the later frames as stock SAM 2 does, with two tokens; else with none.
        """
        frames = targets.shape[1]
        answers: list[PromptableOutput] = []
        memories: list[torch.Tensor] = []
        pointers: list[torch.Tensor] = []
        nothing = embed_prompts(self.sam2, None, padded=padded)
        for t in range(frames):
            coarse, fine, middle = now = _take(levels, drawn.frames * frames + t)
            if t == 0:
                decoded, answer = self._prompted(now, drawn, targets[:, 0], rule)
                # A single click is ambiguous: the best of three counts, as in the tracker.
                several = (drawn.labels == 1).sum(1).eq(1) & (drawn.labels.shape[1] == 1)
            else:
                distances = [CONDITIONING, *range(t - 1, 0, -1)]
                conditioned = self.memory.attend(
                    coarse,
                    self.position,
                    list(zip(distances, memories, strict=True)),
                    list(zip([t, *range(t - 1, 0, -1)], pointers, strict=True)),
                    frames - 1,
                )
                decoded, keys = self.decoder.decode_all(conditioned, fine, middle, nothing)
                answer = self._judged(decoded, keys, targets[:, t], rule)
                several = torch.ones(len(targets), dtype=torch.bool)
            answers.append(answer)
            if t < frames - 1:
                memory, pointer = self._remember(coarse, decoded, several)
                memories.append(memory)
                pointers.append(pointer)
        return answers

    def _prompted(
        self, levels: Levels, drawn: DrawnPrompts, targets: torch.Tensor, rule: Rule
    ) -> tuple[DecoderOutput, PromptableOutput]:
        coarse, fine, middle = levels
        decoded, keys = self.decoder.decode_all(
            self.memory.without_memory(coarse), fine, middle, drawn.embed(self.sam2)
        )
        return decoded, self._judged(decoded, keys, targets, rule)

    def _judged(
        self, decoded: DecoderOutput, keys: torch.Tensor, targets: torch.Tensor, rule: Rule
    ) -> PromptableOutput:
        hints = self.hint(keys.permute(0, 2, 3, 1))[..., 0]
        return PromptableOutput(prompt_loss(decoded, hints, targets, rule), decoded.logits[:, 0])

    def _remember(
        self, embedding: torch.Tensor, decoded: DecoderOutput, several: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Memory and pointer of a frame, from the mask that the tracker would choose."""
        rows = torch.arange(len(several))
        best = torch.where(several, decoded.ious[:, 1:].argmax(1) + 1, 0)
        chosen = full_size(decoded.logits[rows, best, None].detach(), input_side(self.sam2))
        score = decoded.object_score.detach()
        return self.memory.encode(embedding, chosen, score), self.memory.object_pointer(
            decoded.tokens[rows, best], score
        )


def targets_of(owners: np.ndarray, drawn: DrawnPrompts) -> torch.Tensor:
    """The true masks of prompts.

    Args:
        owners: (N, ..., S, S) uint8.
        drawn: B prompts; `frames` is an index into N.

    Returns:
        (B, ..., S, S) bool.
    """
    chosen = torch.from_numpy(owners)[drawn.frames]
    return chosen == drawn.objects.reshape(-1, *[1] * (chosen.ndim - 1))


def _take(levels: Levels, rows: torch.Tensor) -> Levels:
    coarse, fine, middle = levels
    return coarse[rows], fine[rows], middle[rows]
