"""Mask codec: quantised logits with a short header, for the page and for the session folder.

The layout, little endian: magic "AUM1", u32 object, u32 tick, u16 height, u16 width, f32 scale, f32 iou,
f32 object score, u32 flags (bit 0: sounding); then height x width int8 as a raw deflate stream. A logit is the integer
times the scale.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from auralsam2.errors import InputError

_HEADER = struct.Struct("<4sIIHHfffI")
HEADER_BYTES = _HEADER.size
_MAGIC = b"AUM1"
_SOUNDING = 1
MAX_LOGIT = 10.0
"""Limit of the logits for the page, whose thresholds end at 8; a smaller range gives finer steps."""
_MAX_SIDE = 8192
_MAX_SCALE = 1e4


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskHeader:
    """Properties of a stored mask.

    Attributes:
        object_id: number of the object.
        tick: frame.
        height, width: size of the logits.
        scale: logit of one quantisation step.
        iou: predicted IoU.
        object_score: logit of the object's presence in the frame.
        sounding: as in `Segmentation`.
    """

    object_id: int
    tick: int
    height: int
    width: int
    scale: float
    iou: float
    object_score: float
    sounding: bool


def pack_mask(
    logits: np.ndarray,
    *,
    object_id: int,
    tick: int,
    iou: float,
    object_score: float,
    sounding: bool = False,
    limit: float = MAX_LOGIT,
) -> bytes:
    """Encode a mask.

    Args:
        logits: (h, w) float; quantised with an error of at most limit / 254, clipped to [-limit, limit].
        object_id: number of the object.
        tick: frame.
        iou: predicted IoU.
        object_score: logit of the object's presence in the frame.
        sounding: as in `Segmentation`.
        limit: limit of the logits.
    """
    clipped = np.clip(logits, -limit, limit)
    scale = float(np.float32(max(float(np.abs(clipped).max()), 1e-3) / 127))
    steps = np.clip(np.rint(clipped / scale), -127, 127).astype(np.int8)
    head = _HEADER.pack(_MAGIC, object_id, tick, *steps.shape, scale, iou, object_score, _SOUNDING if sounding else 0)
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return head + packer.compress(steps.tobytes()) + packer.flush()


def renumbered(data: bytes, number: int) -> bytes:
    """Return an encoded mask with another number of its object."""
    start = len(_MAGIC)
    return data[:start] + struct.pack("<I", number) + data[start + 4 :]


def read_mask_header(data: bytes) -> MaskHeader:
    """Decode the first `HEADER_BYTES` bytes of a mask.

    Raises:
        InputError: not a header, or values out of range.
    """
    if len(data) < HEADER_BYTES or data[:4] != _MAGIC:
        raise InputError("not a mask of the Studio: export the session again")
    _, number, tick, height, width, scale, iou, object_score, flags = _HEADER.unpack_from(data)
    if not (
        0 < height <= _MAX_SIDE
        and 0 < width <= _MAX_SIDE
        and 0 <= scale <= _MAX_SCALE
        and np.isfinite([iou, object_score]).all()
    ):
        raise InputError("a damaged mask of the Studio: export the session again")
    return MaskHeader(
        object_id=number,
        tick=tick,
        height=height,
        width=width,
        scale=scale,
        iou=iou,
        object_score=object_score,
        sounding=bool(flags & _SOUNDING),
    )


def unpack_mask(data: bytes) -> tuple[MaskHeader, np.ndarray]:
    """Decode the header and the (h, w) float32 logits of a mask, decompressing no more than the header declares.

    Raises:
        InputError: not a mask, or damaged.
    """
    header = read_mask_header(data)
    size = header.height * header.width
    try:
        steps = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[HEADER_BYTES:], size + 1)
    except zlib.error as error:
        raise InputError("a damaged mask of the Studio: export the session again") from error
    if len(steps) != size:
        raise InputError("a damaged mask of the Studio: export the session again")
    logits = np.frombuffer(steps, np.int8).reshape(header.height, header.width).astype(np.float32)
    return header, logits * np.float32(header.scale)
