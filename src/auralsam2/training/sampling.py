"""Which embeddings of a clip the contrastive loss sees (paper, supplement 6.4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from auralsam2.training.config import ContrastConfig


@dataclass(frozen=True, slots=True)
class Embeddings:
    """E_v and E_a of one clip, all frames and levels together; embeddings have norm 1.

    Attributes:
        visual: (n, D).
        visual_label: (n,) bool, the embedding's position belongs to the object.
        audio: (m, D).
        audio_label: (m,) bool, the embedding's frame has an object.
    """

    visual: torch.Tensor
    visual_label: torch.Tensor
    audio: torch.Tensor
    audio_label: torch.Tensor


def draw(
    visual: tuple[torch.Tensor, ...],
    audio: tuple[torch.Tensor, ...],
    label: torch.Tensor,
    prediction: torch.Tensor,
    config: ContrastConfig,
    generator: torch.Generator,
) -> Embeddings:
    """Draw the embeddings of a clip.

    Args:
        visual: e_v of each level, (T, h·w, D), h = w.
        audio: e_a of each level, (N, D), N >= T; row t belongs to frame t, rows beyond T are left out.
        label: (T, S, S), non-zero where the object is.
        prediction: (T, H, W), logits of the predicted masks, of any size.
        config: numbers of samples.
        generator: on the CPU; the same state draws the same embeddings on any device.

    Raises:
        ValueError: the grid is not square, or there are fewer audio embeddings than frames.
    """
    frames, positions, _ = visual[0].shape
    side = round(positions**0.5)
    if side * side != positions:
        raise ValueError(f"{positions} positions do not make a square grid")
    if any(len(rows) < frames for rows in audio):
        raise ValueError(f"{frames} frames need as many audio embeddings, got {min(map(len, audio))}")
    with torch.no_grad():
        truth = F.interpolate((label != 0)[:, None].float(), size=(side, side), mode="nearest").flatten(1).bool().cpu()
        logits = F.interpolate(
            prediction[:, None].float(), size=(side, side), mode="bilinear", align_corners=False
        ).flatten(1)
        right = truth == (logits > 0).cpu()
    rows, labels = [], []
    for level in visual:
        chosen = torch.cat(
            [t * positions + choose(truth[t], right[t], config.samples, generator) for t in range(frames)]
        )
        rows.append(level.flatten(0, 1)[chosen.to(level.device)])
        labels.append(truth.flatten()[chosen])
    embeddings, visual_label = torch.cat(rows), torch.cat(labels).to(label.device)
    if config.limit is not None and len(embeddings) > config.limit:
        kept = torch.randperm(len(embeddings), generator=generator)[: config.limit].to(label.device)
        embeddings, visual_label = embeddings[kept], visual_label[kept]
    sounding = (label != 0).flatten(1).any(1)
    return Embeddings(
        embeddings, visual_label, torch.cat([rows[:frames] for rows in audio]), sounding.repeat(len(audio))
    )


def choose(truth: torch.Tensor, right: torch.Tensor, samples: int, generator: torch.Generator) -> torch.Tensor:
    """Positions of one frame: the two classes alike, and of each class wrongly and rightly predicted ones alike.

    What one side lacks, the other fills up, so that all `samples` are drawn where there are as many positions.

    Args:
        truth: (P,) bool, the position belongs to the object.
        right: (P,) bool, it is predicted rightly ("easy"; else "hard").
        samples: most positions to draw.
        generator: of the CPU.

    Returns:
        (n,) int64, n = min(P, samples), each position at most once.
    """
    of_object = int(truth.sum())
    chosen = []
    for klass, count in zip((False, True), share(samples, len(truth) - of_object, of_object), strict=True):
        hard, easy = (((truth == klass) & (right == fits)).nonzero()[:, 0] for fits in (False, True))
        for pool, size in zip((hard, easy), share(count, len(hard), len(easy)), strict=True):
            chosen.append(pool[torch.randperm(len(pool), generator=generator)[:size]])
    return torch.cat(chosen)


def share(total: int, first: int, second: int) -> tuple[int, int]:
    """How many to take of two pools: half each (the second more, if odd), but all in all as many as there are."""
    taken = min(first, max(total // 2, total - second))
    return taken, min(second, total - taken)
