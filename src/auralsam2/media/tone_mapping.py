"""Conversion of pictures of high dynamic range or wide gamut to sRGB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Self

import numpy as np
from av.video.reformatter import ColorPrimaries, ColorTrc

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

REFERENCE_WHITE = 203.0
"""Luminance in cd/m² of diffuse white in HDR pictures by ITU-R BT.2408, which becomes 1."""
PEAK = 1000.0
"""Luminance in cd/m² of the nominal display, which becomes 1 after tone mapping."""
KNEE = 0.95
"""Linear light up to which tone mapping is the identity."""

_ROWS = 64
"""Rows of a picture that are converted at once."""
_CODES = 65_536

_TO_709 = {
    int(ColorPrimaries.BT2020): (
        (1.660491, -0.587641, -0.072850),
        (-0.124550, 1.132900, -0.008349),
        (-0.018151, -0.100579, 1.118730),
    ),
    int(ColorPrimaries.SMPTE432): (
        (1.224940, -0.224940, 0.0),
        (-0.042057, 1.042057, 0.0),
        (-0.019638, -0.078636, 1.098274),
    ),
}
"""Matrices of linear light from other primaries to BT.709, both with the white point D65."""
_NAMES = {int(ColorPrimaries.BT2020): "BT.2020", int(ColorPrimaries.SMPTE432): "Display P3"}
_HDR = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ColourConversion:
    """Conversion of a picture in PQ, HLG or wide gamut to sRGB, equal to a chain of FFmpeg's filters.

    For PQ and HLG the chain is `zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=bt709`,
    `tonemap=mobius:param=0.95:peak=4.926:desat=0`, `zscale=t=iec61966-2-1`. Diffuse white stays white, and only
    highlights are compressed. Pictures in wide gamut are converted to the primaries of BT.709 in linear light.

    Attributes:
        transfer: transfer characteristic of the picture, an `AVColorTransferCharacteristic`.
        primaries: its primaries, an `AVColorPrimaries`.
    """

    transfer: int
    primaries: int

    @classmethod
    def of(cls, frame: VideoFrame) -> Self | None:
        """The conversion of a decoded picture, None where its RGB values are used as they are.

        PQ and HLG without a tag for primaries count as BT.2020.
        """
        transfer, primaries = int(frame.color_trc), int(frame.color_primaries)
        if transfer in _HDR and primaries not in (ColorPrimaries.BT709, ColorPrimaries.SMPTE432):
            primaries = int(ColorPrimaries.BT2020)
        if transfer not in _HDR and primaries not in _TO_709:
            return None
        return cls(transfer=transfer, primaries=primaries)

    @property
    def note(self) -> str:
        """A sentence for the user."""
        if self.transfer in _HDR:
            return f"HDR pictures ({_HDR[self.transfer]}) tone-mapped to SDR"
        return f"pictures in wide gamut ({_NAMES[self.primaries]}) converted to BT.709"

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Convert an image (H, W, 3) of uint16 RGB codes, full range, to (H, W, 3) uint8 sRGB."""
        light, codes = _light(self.transfer), _codes(self.transfer)
        matrix = _TO_709.get(self.primaries)
        result = np.empty(image.shape, dtype=np.uint8)
        for row in range(0, len(image), _ROWS):
            part = light[image[row : row + _ROWS]]
            if matrix is not None:
                part = part @ np.array(matrix, dtype=np.float32).T
            if self.transfer in _HDR:
                part = _compress(part)
            result[row : row + _ROWS] = codes[np.rint(part.clip(0, 1) * (_CODES - 1)).astype(np.uint16)]
        return result


def _compress(light: np.ndarray) -> np.ndarray:
    """Scale each pixel by the Möbius curve of its largest component, as the filter `tonemap` does."""
    peak = PEAK / REFERENCE_WHITE
    a = -KNEE * KNEE * (peak - 1) / (KNEE * KNEE - 2 * KNEE + peak)
    b = (KNEE * KNEE - 2 * KNEE * peak + peak) / (peak - 1)
    scale = (b * b + 2 * b * KNEE + KNEE * KNEE) / (b - a)
    largest = light.max(axis=-1, keepdims=True)
    bright = np.maximum(largest, KNEE)
    return light * np.where(largest > KNEE, scale * (bright + a) / (bright + b) / bright, np.float32(1))


@lru_cache(maxsize=4)
def _light(transfer: int) -> np.ndarray:
    """Linear light of each of 65536 codes, (65536,) float32; diffuse white is 1."""
    code = np.arange(_CODES) / (_CODES - 1)
    curves: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        int(ColorTrc.SMPTE2084): _pq,
        int(ColorTrc.ARIB_STD_B67): _hlg,
        int(ColorTrc.IEC61966_2_1): _srgb,
    }
    return curves.get(transfer, _bt1886)(code).astype(np.float32)


def _pq(code: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = code ** (1 / m2)
    return (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1) * 10_000 / REFERENCE_WHITE


def _hlg(code: np.ndarray) -> np.ndarray:
    """ITU-R BT.2100 HLG, with the system gamma 1.2 on each component, as `zscale` applies it."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return scene**1.2 * PEAK / REFERENCE_WHITE


def _srgb(code: np.ndarray) -> np.ndarray:
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def _bt1886(code: np.ndarray) -> np.ndarray:
    return code**2.4


@lru_cache(maxsize=4)
def _codes(transfer: int) -> np.ndarray:
    """8-bit codes of 65536 steps of linear light, (65536,) uint8: sRGB, or BT.1886 for pictures that use BT.709."""
    light = np.arange(_CODES) / (_CODES - 1)
    if transfer in _HDR or transfer == ColorTrc.IEC61966_2_1:
        code = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    else:
        code = light ** (1 / 2.4)
    return np.rint(code * 255).astype(np.uint8)
