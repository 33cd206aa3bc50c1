"""From a decoded picture to RGB in display orientation."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Self

import numpy as np
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from auralsam2.media.container import MAX_PIXELS
from auralsam2.media.tone_mapping import ColourConversion

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_EXACT = int(Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT)
_KNOWN_MATRICES = frozenset({0, 1, 4, 5, 6, 7, 9, 10})
"""AVColorSpace values that swscale converts: RGB, BT.709, FCC, BT.601 (twice), SMPTE 240M, BT.2020 (twice)."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """How the stored picture is turned for display: first transposed, then mirrored.

    Attributes:
        transposed: rows become columns.
        mirrored_x: left and right are then exchanged.
        mirrored_y: top and bottom are then exchanged.
    """

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Self:
        """Read the display matrix of a frame; a slanted one counts as the nearest quarter turn.

        To be called once for a video: looking into the side data ties a frame into a cycle of references, so that it
        stays in memory until the garbage collector comes by.
        """
        data = frame.side_data.get("DISPLAYMATRIX")
        if data is None or len(bytes(data)) < 36:
            return cls()
        a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(data), dtype=np.int32)[:5])
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Turn an image (H, W, 3); the result is contiguous."""
        if self.transposed:
            image = image.swapaxes(0, 1)
        if self.mirrored_x:
            image = image[:, ::-1]
        if self.mirrored_y:
            image = image[::-1]
        return np.ascontiguousarray(image)


def display_size(frame: VideoFrame, aspect: Fraction | None, orientation: Orientation) -> tuple[int, int]:
    """Width and height in pixels at which a frame is shown.

    Args:
        frame: the decoded picture.
        aspect: width over height of one of its pixels, None or 0 where unknown.
        orientation: how the picture is turned.
    """
    width, height = frame.width, frame.height
    if aspect is not None and aspect > 0:
        wide = max(1, round(width * aspect))
        # An absurd aspect is a damaged header; players ignore it too.
        if Fraction(1, 16) <= aspect <= 16 and wide * height <= MAX_PIXELS:
            width = wide
    return (height, width) if orientation.transposed else (width, height)


def to_rgb(
    frame: VideoFrame,
    width: int,
    height: int,
    orientation: Orientation,
    reformatter: VideoReformatter,
    conversion: ColourConversion | None = None,
) -> np.ndarray:
    """Convert a frame to an image (height, width, 3) uint8 RGB in display orientation, scaled where sizes differ.

    `reformatter` is shared by the frames of a video: each one keeps about 15 MB.

    Alpha is dropped. The colour matrix and the range come from the frame; without a tag, as in players, BT.709 above
    standard definition, else BT.601. `conversion` turns HDR or wide gamut into sRGB.
    """
    stored_width, stored_height = (height, width) if orientation.transposed else (width, height)
    matrix = None
    if frame.colorspace not in _KNOWN_MATRICES:
        matrix = Colorspace.ITU709 if frame.width >= 1280 or frame.height > 576 else Colorspace.ITU601
    layout = "rgb24" if conversion is None else "rgb48le"
    rgb = reformatter.reformat(frame, stored_width, stored_height, layout, src_colorspace=matrix, interpolation=_EXACT)
    image = rgb.to_ndarray()
    return orientation.apply(image if conversion is None else conversion.apply(image))
