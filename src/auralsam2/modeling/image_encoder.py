"""The visual pyramid of one or more frames, and the encoder pass that makes it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoPositionEmbeddingSine


@dataclass(frozen=True, slots=True)
class FramePyramid:
    """z_v: the neck's maps at strides 4, 8, 16, before the mask decoder's own projections.

    Attributes:
        maps: (T, C, 4h, 4w), (T, C, 2h, 2w), (T, C, h, w).
        position: (1, C, h, w) sine position map of the last one.
    """

    maps: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    position: torch.Tensor


def encode_pyramid(model: Sam2VideoModel, pixels: torch.Tensor, *, learns: bool = False) -> FramePyramid:
    """One pass of the image encoder.

    Args:
        model: a frozen SAM 2 with any backbone.
        pixels: (T, 3, S, S) float, normalised.
        learns: let gradients through, to what a baseline has added inside.
    """
    with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
        output = model.vision_encoder(pixels, return_dict=True)
    fine, middle, coarse = output.fpn_hidden_states
    return FramePyramid((fine, middle, coarse), output.fpn_position_encoding[-1][:1])


def sine_position(width: int, grid: tuple[int, int], like: torch.Tensor) -> torch.Tensor:
    """SAM 2's sine position map without an encoder pass: (1, width, h, w), y in the first half of the channels."""
    embedding = Sam2VideoPositionEmbeddingSine(num_position_features=width // 2, normalize=True)
    return embedding(torch.Size((1, width, *grid)), like.device, like.dtype)


@dataclass(frozen=True, slots=True)
class FrameFeatures:
    """What is kept of an encoded frame until its mask is found; all a prompt, old or new, needs.

    Attributes:
        embedding: (1, C, h, w), the raw stride-16 map.
        fine, middle: (1, C/8, 4h, 4w) and (1, C/4, 2h, 2w), the mask decoder's projections of the finer maps.
        patches: the fuser's three patch maps (1, L, h, w); empty where nobody hears or reads.
    """

    embedding: torch.Tensor
    fine: torch.Tensor
    middle: torch.Tensor
    patches: tuple[torch.Tensor, ...] = ()

    @property
    def nbytes(self) -> int:
        """Memory taken by the tensors."""
        return sum(tensor.nbytes for tensor in (self.embedding, self.fine, self.middle, *self.patches))


def frame_features(
    model: Sam2VideoModel, pyramid: FramePyramid, patches: tuple[torch.Tensor, ...] = (), *, learns: bool = False
) -> tuple[FrameFeatures, ...]:
    """Cut a pyramid of T frames into what each frame needs later.

    Args:
        model: the SAM 2 that made it.
        pyramid: of T frames.
        patches: the fuser's patch maps (T, L, h, w).
        learns: let gradients through, as of `encode`.
    """
    with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
        fine = model.mask_decoder.conv_s0(pyramid.maps[0])
        middle = model.mask_decoder.conv_s1(pyramid.maps[1])
    return tuple(
        FrameFeatures(
            pyramid.maps[2][t : t + 1],
            fine[t : t + 1],
            middle[t : t + 1],
            tuple(patch[t : t + 1] for patch in patches),
        )
        for t in range(len(fine))
    )
