"""TPAVI (Zhou et al., ECCV 2022) as it was: every pixel of a clip looks at all others, steered by sound.

The affinity of two places has no softmax, and the values are visual: sound only tells how much of which frame is added.
"""

from __future__ import annotations

import torch
from torch import nn

from auralsam2.fuser.fusion import Fused


def steered(theta: torch.Tensor, phi: torch.Tensor, values: torch.Tensor, *, framewise: bool) -> torch.Tensor:
    """y_i = 1 / n · Σ_j (θ_i · φ_j) g_j over all n places j.

    φ is the same at all places of a frame, so that the sum over these is taken once: O(n T) instead of O(n²).

    Args:
        theta: θ, (T, P, C), of each place.
        phi: φ, (T, C), of the sound of each frame.
        values: g, (T, P, C).
        framewise: j runs over the places of the same frame alone, n = P; else over those of the clip, n = T · P.

    Returns:
        (T, P, C).
    """
    frames, places, _ = theta.shape
    whole = values.sum(1)
    if framewise:
        return (theta @ phi[:, :, None]) * whole[:, None] / places
    return (theta @ phi.T) @ whole / (frames * places)


class TPAVI(nn.Module):
    """The fusion block of one level, in the place of `CrossFusion`.

    Args:
        width: C, of the visual side.
        inner: C', of the affinity.
        audio_width: of the tokens of sound.
        framewise: keep each second of sound to its own frame. Then the block begins as nothing by its last weights; the
            original does so by a batch normalisation, whose statistics of a few frames are worth little.
    """

    def __init__(self, width: int, inner: int, audio_width: int, *, framewise: bool) -> None:
        super().__init__()
        self.framewise = framewise
        self.align_channel = nn.Linear(audio_width, width)
        self.theta, self.phi, self.g = (nn.Linear(width, inner) for _ in range(3))
        self.out = nn.Linear(inner, width)
        norm = nn.BatchNorm1d(width)
        self.batch_norm = nn.Identity() if framewise else norm
        last = self.out if framewise else norm
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.norm_layer = nn.LayerNorm(width)

    def forward(self, visual: torch.Tensor, tokens: torch.Tensor) -> Fused:
        """Fuse; the tokens come out aligned to the visual width and otherwise as they are.

        Args:
            visual: (T, h·w, C).
            tokens: (N, audio_width), N >= T; row t < T is the sound of frame t.
        """
        aligned = self.align_channel(tokens)
        heard = self.phi(aligned[: len(visual)])
        mixed = self.out(steered(self.theta(visual), heard, self.g(visual), framewise=self.framewise))
        residual = self.batch_norm(mixed.flatten(0, 1)).view_as(visual)
        return Fused(self.norm_layer(visual + residual), aligned, residual, torch.zeros_like(aligned))
