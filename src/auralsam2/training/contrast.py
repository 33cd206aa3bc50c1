"""Contrastive losses between what is seen and what is heard (paper §3.3).

Symbols: E_v visual embeddings with the label of their position, E_a audio embeddings with the label "this frame has an
object" · s = e · e' / τ.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from auralsam2.training.config import ContrastConfig
from auralsam2.training.sampling import Embeddings, draw

PIECE = 2**25
"""Similarities that are in memory at a time: 128 MB. Ten frames at 1024 pixels have seven times as many."""


def contrastive_loss(
    visual: tuple[torch.Tensor, ...],
    audio: tuple[torch.Tensor, ...],
    label: torch.Tensor,
    prediction: torch.Tensor,
    config: ContrastConfig,
    generator: torch.Generator,
) -> torch.Tensor:
    """Draw embeddings of a clip and compare them; arguments as of `sampling.draw`. A scalar, 0 for mode `none`.

    Similarities are computed in float32, whatever autocast says.
    """
    if config.mode == "none":
        return label.new_zeros((), dtype=torch.float32)
    with torch.autocast(label.device.type, enabled=False):
        levels = tuple(level.float() for level in visual), tuple(level.float() for level in audio)
        drawn = draw(*levels, label, prediction, config, generator)
        if config.mode == "audiocon":
            return audiocon(drawn, config.temperature)
        if config.mode == "released":
            return info_nce(drawn, config.temperature)
        if config.mode == "supcon":
            return supcon(drawn.visual, drawn.visual_label, config.temperature)
        embeddings = torch.cat([drawn.visual, drawn.audio])
        return supcon(embeddings, torch.cat([drawn.visual_label, drawn.audio_label]), config.temperature)


def audiocon(drawn: Embeddings, temperature: float) -> torch.Tensor:
    """Eq. 8: audio embeddings are prototypes; only visual embeddings are pushed away.

    1 / (|E_v| |E_a|) Σ_{e ∈ E_v} Σ_{e⁺ ∈ E_a, same label} −ln( e^s⁺ / (e^s⁺ + Σ_{e⁻ ∈ E_v, other label} e^s⁻) ).

    The paper's B is the number of audio embeddings; with three levels these are 3 T.
    """
    terms = _to_prototypes(drawn, drawn.visual, drawn.visual_label, temperature)
    return terms.sum() / terms.numel()


def info_nce(drawn: Embeddings, temperature: float) -> torch.Tensor:
    """What the released code computes: audio embeddings of the other label are pushed away too.

    1 / |E_v| Σ_{e ∈ E_v} mean_{e⁺ ∈ E_a, same label} −ln( e^s⁺ / (e^s⁺ + Σ_{e⁻ ∈ E_v ∪ E_a, other label} e^s⁻) ), where
    an embedding without prototype counts as 0.
    """
    negatives = torch.cat([drawn.visual, drawn.audio])
    terms = _to_prototypes(drawn, negatives, torch.cat([drawn.visual_label, drawn.audio_label]), temperature)
    positives = (drawn.visual_label[:, None] == drawn.audio_label).sum(1)
    return (terms.sum(1) / positives.clamp_min(1)).mean()


def supcon(embeddings: torch.Tensor, label: torch.Tensor, temperature: float) -> torch.Tensor:
    """SupCon (Khosla et al., 2020, L_out), mean over all embeddings.

    1 / |E| Σ_i mean_{p ≠ i, same label} −ln( e^s_ip / Σ_{a ≠ i} e^s_ia ), where an embedding alone of its label counts
    as 0.

    Args:
        embeddings: (n, D), norm 1: E_v for SupCon as made for images, E_v ∪ E_a for its other reading.
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
    """−ln( e^s⁺ / (e^s⁺ + Σ_neg e^s) ) of each visual embedding and each audio embedding; 0 where labels differ.

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
    """The logarithm of Σ e^(row · column) over all columns; −∞ where there are none.

    A matrix that is too large is made in pieces, and again for the gradient.

    Args:
        rows: (n, D).
        columns: (m, D).
        but_itself: row i leaves out column i.

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
