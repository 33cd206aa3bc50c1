"""Random augmentation of a training clip (paper, supplement 6.2), drawn once for frames, labels and audio.

All frames of a clip share the geometry. Colours are changed last, by Pillow's `ImageEnhance`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageEnhance

from auralsam2.training.config import AugmentConfig, Triple

if TYPE_CHECKING:
    import torch

FILL = (123, 116, 103)
"""Colour of uncovered pixels: the mean of ImageNet."""
ENHANCERS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


class Jitter(NamedTuple):
    """One colour change.

    Attributes:
        factors: of brightness, contrast, saturation; 1 changes nothing.
        order: order of application, by index.
    """

    factors: Triple = (1.0, 1.0, 1.0)
    order: tuple[int, int, int] = (0, 1, 2)

    @classmethod
    def draw(cls, amounts: Triple, random: np.random.Generator) -> Jitter:
        """Draw factors between 1 − amount (at least 0) and 1 + amount, and their order."""
        factors = [float(random.uniform(max(0.0, 1 - amount), 1 + amount)) for amount in amounts]
        order = random.permutation(3).tolist()
        return cls((factors[0], factors[1], factors[2]), (order[0], order[1], order[2]))

    def apply(self, image: Image.Image) -> Image.Image:
        """Change the colours of an image."""
        for index in self.order:
            if self.factors[index] != 1:
                image = ENHANCERS[index](image).enhance(self.factors[index])
        return image


UNCHANGED = Jitter()


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Augmentation of one clip.

    Attributes:
        flip: mirror left and right.
        swap_sound: the flip also swaps the audio channels.
        angle: rotation about the centre, degrees, clockwise as displayed.
        shear: degrees; rows below the centre move left.
        grayscale: convert to grayscale.
        jitter: of all frames.
        frame_jitters: of each frame.
    """

    flip: bool = False
    swap_sound: bool = True
    angle: float = 0.0
    shear: float = 0.0
    grayscale: bool = False
    jitter: Jitter = UNCHANGED
    frame_jitters: tuple[Jitter, ...]

    @classmethod
    def draw(cls, config: AugmentConfig, frames: int, random: np.random.Generator) -> Augmentation:
        """Draw the augmentation of a clip of `frames` frames."""
        return cls(
            flip=bool(random.random() < config.flip),
            swap_sound=config.swap_sound,
            angle=float(random.uniform(-config.rotation, config.rotation)),
            shear=float(random.uniform(-config.shear, config.shear)),
            grayscale=bool(random.random() < config.grayscale),
            jitter=Jitter.draw(config.clip_jitter, random),
            frame_jitters=tuple(Jitter.draw(config.frame_jitter, random) for _ in range(frames)),
        )

    def frames(self, frames: np.ndarray) -> np.ndarray:
        """Change geometry, then colours.

        Args:
            frames: (T, H, W, 3) uint8 RGB; T is that of the draw.

        Returns:
            the same shape.
        """
        return np.stack(
            [self._colours(self._move(frame, FILL), own) for frame, own in zip(frames, self.frame_jitters, strict=True)]
        )

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """Change the geometry of masks, by nearest neighbour; uncovered pixels belong to no object.

        Args:
            labels: (n, H, W) bool, of any number of the clip's frames.

        Returns:
            the same shape.
        """
        if not len(labels):
            return labels
        return np.stack([np.asarray(self._move(label.astype(np.uint8), 0)) != 0 for label in labels])

    def sound(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Swap the audio channels of a flipped clip.

        Args:
            log_mel: (N, 2, 96, 64), channels in axis 1.
        """
        return log_mel[:, [1, 0]] if self.flip and self.swap_sound else log_mel

    def _move(self, pixels: np.ndarray, fill: tuple[int, int, int] | int) -> Image.Image:
        image = Image.fromarray(np.ascontiguousarray(pixels[:, ::-1]) if self.flip else pixels)
        if not (self.angle or self.shear):
            return image
        smooth = image.mode == "RGB"
        return image.transform(
            image.size,
            Image.Transform.AFFINE,
            self._source(image.width / 2, image.height / 2),
            Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST,
            fillcolor=fill,
        )

    def _source(self, x: float, y: float) -> tuple[float, float, float, float, float, float]:
        """Return the affine map (a, b, c), (d, e, f) from a new point to its old position, about the centre (x, y).

        New = R(angle) · [[1, −tan shear], [0, 1]] · old, so old = [[1, tan shear], [0, 1]] · R(−angle) · new.
        """
        angle, slope = math.radians(self.angle), math.tan(math.radians(self.shear))
        cos, sin = math.cos(angle), math.sin(angle)
        a, b, d, e = cos - slope * sin, sin + slope * cos, -sin, cos
        return a, b, x - a * x - b * y, d, e, y - d * x - e * y

    def _colours(self, image: Image.Image, own: Jitter) -> np.ndarray:
        image = self.jitter.apply(image)
        if self.grayscale:
            image = image.convert("L").convert("RGB")
        return np.asarray(own.apply(image))
