"""Contrastive losses between visual and audio embeddings (paper §3.3).

Symbols: E_v visual embeddings, labelled by their position; E_a audio embeddings, labelled "this frame has an object";
s = e · e' / τ.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from auralsam2.training.config import ContrastConfig


@dataclass(frozen=True, slots=True)
class Embeddings:
    """E_v and E_a of one clip over all frames and levels; embeddings have norm 1.

    Attributes:
        visual: (n, D).
        visual_label: (n,) bool, the position belongs to the object.
        audio: (m, D).
        audio_label: (m,) bool, the frame has an object.
    """

    visual: torch.Tensor
    visual_label: torch.Tensor
    audio: torch.Tensor
    audio_label: torch.Tensor


def draw_embeddings(
    visual: tuple[torch.Tensor, ...],
    audio: tuple[torch.Tensor, ...],
    label: torch.Tensor,
    prediction: torch.Tensor,
    config: ContrastConfig,
    generator: torch.Generator,
) -> Embeddings:
    """Sample the embeddings of a clip.

    Args:
        visual: e_v of each level, (T, h·w, D), h = w.
        audio: e_a of each level, (N, D), N >= T; row t belongs to frame t, rows beyond T are ignored.
        label: (T, S, S), non-zero on the object.
        prediction: (T, H, W), logits of the predicted masks.
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
            [t * positions + choose_embeddings(truth[t], right[t], config.samples, generator) for t in range(frames)]
        )
        rows.append(level.flatten(0, 1)[chosen.to(level.device)])
        labels.append(truth.flatten()[chosen])
    embeddings, visual_label = torch.cat(rows), torch.cat(labels).to(label.device)
    if config.limit is not None and len(embeddings) > config.limit:
        chosen = torch.randperm(len(embeddings), generator=generator)[: config.limit].to(label.device)
        embeddings, visual_label = embeddings[chosen], visual_label[chosen]
    sounding = (label != 0).flatten(1).any(1)
    return Embeddings(
        embeddings, visual_label, torch.cat([rows[:frames] for rows in audio]), sounding.repeat(len(audio))
    )


def choose_embeddings(
    truth: torch.Tensor, right: torch.Tensor, samples: int, generator: torch.Generator
) -> torch.Tensor:
    """Sample positions of one frame, half of each class, and of each class half hard and half easy ones.

    A shortage in one part is filled from the other, so that `samples` positions are drawn if the frame has as many.

    Args:
        truth: (P,) bool, the position belongs to the object.
        right: (P,) bool, the prediction is correct ("easy"; else "hard").
        samples: maximum number of positions.
        generator: of the CPU.

    Returns:
        (n,) int64, n = min(P, samples), each position at most once.
    """
    of_object = int(truth.sum())
    chosen = []
    for klass, count in zip((False, True), class_share(samples, len(truth) - of_object, of_object), strict=True):
        hard, easy = (((truth == klass) & (right == fits)).nonzero()[:, 0] for fits in (False, True))
        for pool, size in zip((hard, easy), class_share(count, len(hard), len(easy)), strict=True):
            chosen.append(pool[torch.randperm(len(pool), generator=generator)[:size]])
    return torch.cat(chosen)


def class_share(total: int, first: int, second: int) -> tuple[int, int]:
    """Split `total` between two pools: half each (the second more, if odd), a shortage filled from the other."""
    count = min(first, max(total // 2, total - second))
    return count, min(second, total - count)


PIECE = 2**25
"""Similarities in memory at a time: 128 MB. Ten frames at 1024 pixels have seven times as many."""


def contrastive_loss(
    visual: tuple[torch.Tensor, ...],
    audio: tuple[torch.Tensor, ...],
    label: torch.Tensor,
    prediction: torch.Tensor,
    config: ContrastConfig,
    generator: torch.Generator,
) -> torch.Tensor:
    """Sample embeddings of a clip and compute their loss, a scalar, in float32; 0 for mode `none`.

    The arguments are those of `draw_embeddings`.
    """
    if config.mode == "none":
        return label.new_zeros((), dtype=torch.float32)
    with torch.autocast(label.device.type, enabled=False):
        levels = tuple(level.float() for level in visual), tuple(level.float() for level in audio)
        drawn = draw_embeddings(*levels, label, prediction, config, generator)
        if config.mode == "audiocon":
            return audiocon(drawn, config.temperature)
        if config.mode == "released":
            return info_nce(drawn, config.temperature)
        if config.mode == "supcon":
            return supcon(drawn.visual, drawn.visual_label, config.temperature)
        embeddings = torch.cat([drawn.visual, drawn.audio])
        return supcon(embeddings, torch.cat([drawn.visual_label, drawn.audio_label]), config.temperature)


def audiocon(drawn: Embeddings, temperature: float) -> torch.Tensor:
    """Compute Eq. 8: audio embeddings are prototypes, visual embeddings are negatives.

    1 / (|E_v| |E_a|) Σ_{e ∈ E_v} Σ_{e⁺ ∈ E_a, same label} −ln( e^s⁺ / (e^s⁺ + Σ_{e⁻ ∈ E_v, other label} e^s⁻) ).

    The paper's B is the number of audio embeddings; with three levels these are 3 T.
    """
    terms = _to_prototypes(drawn, drawn.visual, drawn.visual_label, temperature)
    return terms.sum() / terms.numel()


def info_nce(drawn: Embeddings, temperature: float) -> torch.Tensor:
    """Compute the loss of the released code, with audio embeddings of the other label as negatives too.

    1 / |E_v| Σ_{e ∈ E_v} mean_{e⁺ ∈ E_a, same label} −ln( e^s⁺ / (e^s⁺ + Σ_{e⁻ ∈ E_v ∪ E_a, other label} e^s⁻) ), where
    an embedding without prototype counts as 0.
    """
    negatives = torch.cat([drawn.visual, drawn.audio])
    terms = _to_prototypes(drawn, negatives, torch.cat([drawn.visual_label, drawn.audio_label]), temperature)
    positives = (drawn.visual_label[:, None] == drawn.audio_label).sum(1)
    return (terms.sum(1) / positives.clamp_min(1)).mean()


def supcon(embeddings: torch.Tensor, label: torch.Tensor, temperature: float) -> torch.Tensor:
    """Compute SupCon (Khosla et al., 2020, L_out), mean over all embeddings.

    1 / |E| Σ_i mean_{p ≠ i, same label} −ln( e^s_ip / Σ_{a ≠ i} e^s_ia ), where the only embedding of a label
    counts as 0.

    Args:
        embeddings: (n, D), norm 1: E_v for mode `supcon`, E_v ∪ E_a for `supcon-joint`.
        label: (n,) bool.
        temperature: τ.
    """
    scaled = embeddings / temperature
    everything = _log_sum_exp(scaled, embeddings, but_itself=True)
    # Σ_p s_ip is linear in the embeddings: one sum a label instead of a matrix.
    members = torch.stack([~label, label]).to(embeddings.dtype)
    sums, counts = (members @ embeddings)[label.long()], members.sum(1)[label.long()] - 1
    similarity = (scaled * (sums - embeddings)).sum(1)
    return torch.where(counts > 0, everything - similarity / counts.clamp_min(1), 0.0).mean()


def _to_prototypes(
    drawn: Embeddings, negatives: torch.Tensor, negative_label: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Compute −ln( e^s⁺ / (e^s⁺ + Σ_neg e^s) ) of each visual and each audio embedding; 0 where labels differ.

    Returns:
        (n, m).
    """
    scaled = drawn.visual / temperature
    away = scaled.new_empty(len(scaled))
    for value in (False, True):
        mine = drawn.visual_label == value
        away = away.masked_scatter(mine, _log_sum_exp(scaled[mine], negatives[negative_label != value]))
    towards = scaled @ drawn.audio.T
    same = drawn.visual_label[:, None] == drawn.audio_label
    return torch.where(same, -F.logsigmoid(towards - away[:, None]), 0.0)


def _log_sum_exp(rows: torch.Tensor, columns: torch.Tensor, *, but_itself: bool = False) -> torch.Tensor:
    """Compute ln Σ e^(row · column) over all columns; −∞ without a column.

    A large matrix is computed in pieces, and again for the gradient.

    Args:
        rows: (n, D).
        columns: (m, D).
        but_itself: row i ignores column i.

    Returns:
        (n,).
    """
    numbers = torch.arange(len(columns), device=columns.device)

    def piece(start: int, end: int) -> torch.Tensor:
        similarity = rows[start:end] @ columns.T
        if but_itself:
            similarity = similarity.masked_fill(numbers[start:end, None] == numbers, -torch.inf)
        return similarity.logsumexp(1)

    height = max(1, PIECE // max(1, len(columns)))
    if len(rows) <= height:
        return piece(0, len(rows))
    starts = range(0, len(rows), height)
    return torch.cat(
        [checkpoint(piece, at, at + height, use_reentrant=False, preserve_rng_state=False) for at in starts]
    )
