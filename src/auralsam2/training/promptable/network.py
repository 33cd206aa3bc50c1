"""The trained parts at work on cached maps: one frame with prompts, or a clip that is prompted once and remembered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import Sam2VideoModel

from auralsam2.config import PromptingConfig
from auralsam2.decoder.memory import CONDITIONING, MemoryNetwork
from auralsam2.decoder.prompted import Decoded, PromptedDecoder
from auralsam2.decoder.visual import embed
from auralsam2.tracker.tracker import full_size
from auralsam2.training.promptable.model import WIDTH
from auralsam2.training.promptable.objective import Rule, Terms, judge
from auralsam2.training.promptable.prompts import Drawn
from auralsam2.vision.pyramid import sine_position
from auralsam2.vision.sam2 import side

Levels = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Answer:
    """To B prompts.

    Attributes:
        terms: of the loss.
        logits: (B, 4h, 4w), the mask of token 0.
    """

    terms: Terms
    logits: torch.Tensor


class Promptable(nn.Module):
    """A SAM 2 in training.

    Args:
        sam2: of `model.mini_sam2`, made ready.
        kinds: how many kinds of things the scenes show.
    """

    position: torch.Tensor

    def __init__(self, sam2: Sam2VideoModel, kinds: int) -> None:
        super().__init__()
        self.sam2 = sam2
        self.decoder = PromptedDecoder(sam2, PromptingConfig())
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
        grid = side(sam2) // 16
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

    def answer(self, levels: Levels, drawn: Drawn, targets: torch.Tensor, rule: Rule) -> Answer:
        """Decode prompts of single frames, and judge the masks.

        Args:
            levels: of N frames.
            drawn: B prompts.
            targets: (B, S, S) bool.
            rule: of the loss.
        """
        _, answer = self._prompted(_take(levels, drawn.frames), drawn, targets, rule)
        return answer

    def follow(self, levels: Levels, drawn: Drawn, targets: torch.Tensor, rule: Rule, *, padded: bool) -> list[Answer]:
        """Prompt the first frame of clips and follow the object by memory alone.

        Args:
            levels: of N · T frames, those of a clip one after the other.
            drawn: B prompts; `frames` tells the clip.
            targets: (B, T, S, S) bool.
            rule: of the loss.
            padded: embed "no prompt" in the later frames as stock SAM 2 does, with two tokens; else with none.
        """
        frames = targets.shape[1]
        answers: list[Answer] = []
        memories: list[torch.Tensor] = []
        pointers: list[torch.Tensor] = []
        nothing = embed(self.sam2, None, padded=padded)
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
                decoded, keys = self.decoder.candidates(conditioned, fine, middle, nothing)
                answer = self._judged(decoded, keys, targets[:, t], rule)
                several = torch.ones(len(targets), dtype=torch.bool)
            answers.append(answer)
            if t < frames - 1:
                memory, pointer = self._remember(coarse, decoded, several)
                memories.append(memory)
                pointers.append(pointer)
        return answers

    def _prompted(self, levels: Levels, drawn: Drawn, targets: torch.Tensor, rule: Rule) -> tuple[Decoded, Answer]:
        coarse, fine, middle = levels
        decoded, keys = self.decoder.candidates(self.memory.begin(coarse), fine, middle, drawn.embed(self.sam2))
        return decoded, self._judged(decoded, keys, targets, rule)

    def _judged(self, decoded: Decoded, keys: torch.Tensor, targets: torch.Tensor, rule: Rule) -> Answer:
        hints = self.hint(keys.permute(0, 2, 3, 1))[..., 0]
        return Answer(judge(decoded, hints, targets, rule), decoded.logits[:, 0])

    def _remember(
        self, embedding: torch.Tensor, decoded: Decoded, several: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Memory and pointer of a frame, from the mask that the tracker would choose."""
        rows = torch.arange(len(several))
        best = torch.where(several, decoded.ious[:, 1:].argmax(1) + 1, 0)
        chosen = full_size(decoded.logits[rows, best, None].detach(), side(self.sam2))
        score = decoded.object_score.detach()
        return self.memory.encode(embedding, chosen, score), self.memory.pointer(decoded.tokens[rows, best], score)


def targets_of(owners: np.ndarray, drawn: Drawn) -> torch.Tensor:
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
