"""Image encoder pass: the visual pyramid of frames, and the features of each frame that later stages need."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from transformers import Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoPositionEmbeddingSine

from auralsam2.modeling.sam2 import input_side


@dataclass(frozen=True, slots=True)
class FramePyramid:
    """z_v: the neck's maps at strides 4, 8 and 16, before the projections of the mask decoder.

    Attributes:
        maps: (T, C, 4h, 4w), (T, C, 2h, 2w), (T, C, h, w).
    """

    maps: tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def encode_pyramid(model: Sam2VideoModel, pixels: torch.Tensor, *, with_gradients: bool = False) -> FramePyramid:
    """Run the image encoder of a SAM 2 with any backbone once on normalised images (T, 3, S, S).

    `with_gradients` computes gradients, for the adapters of a baseline inside the encoder.
    """
    with torch.set_grad_enabled(with_gradients and torch.is_grad_enabled()):
        output = model.vision_encoder(pixels, return_dict=True)
    fine, middle, coarse = output.fpn_hidden_states
    return FramePyramid((fine, middle, coarse))


def encoder_hash(model: Sam2VideoModel, *facts: str) -> str:
    """Return a hash of everything but the images that determines the maps: weights, image size and further facts."""
    digest = hashlib.sha256(" ".join([str(input_side(model)), *facts]).encode())
    for name, value in sorted(model.vision_encoder.state_dict().items()):
        digest.update(f"\n{name} {tuple(value.shape)} ".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def sine_position(width: int, grid: tuple[int, int], like: torch.Tensor) -> torch.Tensor:
    """Return SAM 2's sine position map (1, width, h, w) without an encoder pass; y is in the first half of channels."""
    embedding = Sam2VideoPositionEmbeddingSine(num_position_features=width // 2, normalize=True)
    return embedding(torch.Size((1, width, *grid)), like.device, like.dtype)


@dataclass(frozen=True, slots=True)
class FrameFeatures:
    """Features of B encoded frames that any later prompt needs; B is 1 but in training.

    Attributes:
        embedding: (B, C, h, w), the stride-16 map.
        fine, middle: (B, C/8, 4h, 4w) and (B, C/4, 2h, 2w), the mask decoder's projections of the finer maps.
        patches: patch maps of the fuser, (B, L, h, w) each; empty without feature prompts.
    """

    embedding: torch.Tensor
    fine: torch.Tensor
    middle: torch.Tensor
    patches: tuple[torch.Tensor, ...] = ()

    def split(self) -> tuple[FrameFeatures, ...]:
        """Return the features of each frame."""
        return tuple(
            FrameFeatures(
                self.embedding[t : t + 1],
                self.fine[t : t + 1],
                self.middle[t : t + 1],
                tuple(patch[t : t + 1] for patch in self.patches),
            )
            for t in range(len(self.embedding))
        )


def batch_features(
    model: Sam2VideoModel,
    pyramid: FramePyramid,
    patches: tuple[torch.Tensor, ...] = (),
    *,
    with_gradients: bool = False,
) -> FrameFeatures:
    """Join the pyramid of T frames, with patch maps of the fuser (T, L, h, w), and the decoder's projections of it."""
    with torch.set_grad_enabled(with_gradients and torch.is_grad_enabled()):
        fine = model.mask_decoder.conv_s0(pyramid.maps[0])
        middle = model.mask_decoder.conv_s1(pyramid.maps[1])
    return FrameFeatures(pyramid.maps[2], fine, middle, patches)


def frame_features(
    model: Sam2VideoModel,
    pyramid: FramePyramid,
    patches: tuple[torch.Tensor, ...] = (),
    *,
    with_gradients: bool = False,
) -> tuple[FrameFeatures, ...]:
    """Split the pyramid of T frames, with patch maps of the fuser (T, L, h, w), into the features of each frame."""
    return batch_features(model, pyramid, patches, with_gradients=with_gradients).split()
